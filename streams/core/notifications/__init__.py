"""Group alerts into messages, without I/O."""
