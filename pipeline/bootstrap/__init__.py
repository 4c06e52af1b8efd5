"""Sets up the virtual environment: standard library only, because nothing is installed yet."""
