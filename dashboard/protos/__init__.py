"""Minimal stubs of what TensorFlow's tools write and speak; `python -m dashboard.protos.generate` writes them."""
