"""The programs that are process 1 of a box: sources, and what is assembled of them."""
