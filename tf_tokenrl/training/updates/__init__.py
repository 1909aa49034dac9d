"""One gradient step: loss, all-reduce, clipping, optimizer."""
