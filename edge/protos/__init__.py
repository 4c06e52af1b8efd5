"""Minimal stubs of TensorFlow Serving's API; `python -m edge.protos.generate` writes the generated part."""
