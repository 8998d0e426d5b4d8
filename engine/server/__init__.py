"""The ASGI application and the uvicorn server around it."""
