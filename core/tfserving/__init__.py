"""TensorFlow Serving's API for those who ask: tensors, the model's answer, and one gRPC client."""
