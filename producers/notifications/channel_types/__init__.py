"""Types of channels: one module each."""
