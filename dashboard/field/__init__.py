"""The field: answers as they come in, what is counted of them, and what they say of the model."""
