"""The keys: the composition root. Commands, embedded mode, containers; nothing imports it."""
