"""The page on the touch screen."""
