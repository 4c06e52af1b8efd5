"""TensorFlow's own C++ session: loading, batching, warm-up."""
