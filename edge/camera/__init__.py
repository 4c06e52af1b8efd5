"""Photographs: the cameras, their preparation, quality checks and codes."""
