"""Losses of data that exists already."""
