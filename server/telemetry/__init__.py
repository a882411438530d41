"""The server's metrics, logs and stored traces."""
