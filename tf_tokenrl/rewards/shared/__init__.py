"""What several rewards build on."""
