"""Feedback over HTTP: records in, receipts out; it imports no TensorFlow."""
