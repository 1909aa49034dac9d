"""Tokenizers of pretrained models, as their files define them, in the graph."""
