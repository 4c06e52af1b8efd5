"""The device: photographs a lesion, keeps every examination and asks the model server."""

__version__ = "0.1.0"
