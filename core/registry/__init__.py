"""The registry: versions, which of them is served, and what the model server polls."""
