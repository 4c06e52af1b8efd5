"""One reader for each way data sets are laid out."""
