"""Keys of windows and spend, compiled from the dimensions that are registered."""
