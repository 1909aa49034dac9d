"""One file per RPC, and what all of them share."""
