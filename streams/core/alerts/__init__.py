"""Creates alerts and remembers which were created."""
