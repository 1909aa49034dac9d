"""TensorFlow itself: strategies, tracing, start-up."""
