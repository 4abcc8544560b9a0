"""npm packages whose files the console serves, and those that its tests use."""
