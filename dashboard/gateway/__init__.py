"""The HTTP gateway: predictions, and what devices report."""
