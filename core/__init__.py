"""What two rooms must agree on, once: light enough for every image."""
