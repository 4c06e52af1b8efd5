"""What two rooms must agree on, once; imports no heavy library."""
