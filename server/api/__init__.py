"""The HTTP side: the only package that knows FastAPI. One or two files for each route."""
