"""Measures of a binary classifier and how sure they are, each computed by one function for the whole product."""
