"""The commands of `tf-tokenrl`, one file each."""
