"""TensorFlow Serving's API: gRPC and REST."""
