"""What keeps the server running: metrics, limits, logs, TLS."""
