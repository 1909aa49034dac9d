"""One file per version of the schema; what has been released never changes."""
