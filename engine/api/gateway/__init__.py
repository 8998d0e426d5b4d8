"""The dialect of Jupyter's Kernel Gateway: kernels, sessions and the websocket."""
