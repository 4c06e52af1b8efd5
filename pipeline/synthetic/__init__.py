"""Procedural dermoscopy: lesions whose asymmetry, border, colours and diameter are known."""
