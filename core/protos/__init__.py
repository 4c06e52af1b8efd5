"""Minimal stubs of what TensorFlow's tools write and speak; `python -m core.protos.generate` writes them."""
