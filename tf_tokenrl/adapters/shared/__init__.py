"""What adapters share: files of their own, merging."""
