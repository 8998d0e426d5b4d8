"""The notebook dialect: an annotated notebook served as an API, as the Kernel Gateway's mode notebook-http does."""
