"""The shipped model measured through the server's API, and its card."""
