"""TensorFlow Serving's REST API: JSON in, JSON out. It begins in `api`."""
