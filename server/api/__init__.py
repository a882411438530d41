"""The HTTP API: the only package that imports FastAPI. One or two modules for each route."""
