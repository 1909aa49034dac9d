"""Foreign weights, one file per format."""
