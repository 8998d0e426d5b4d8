"""What every request passes before a route: the path prefix, CORS, and the guard."""
