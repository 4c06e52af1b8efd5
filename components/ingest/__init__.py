"""Real data sets in, TFRecords out: read, check, group, split, write, and account for every row."""
