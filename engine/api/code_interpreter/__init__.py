"""The code-interpreter dialect: sessions, as the gateway for agents' primitives has them."""
