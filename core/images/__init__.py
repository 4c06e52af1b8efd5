"""Encoded images: what their headers say, how they are decoded, normalised and measured; once for every room."""
