"""The records that rooms write for each other: one model each, from which schemas/ is generated."""
