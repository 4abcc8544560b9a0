"""Evaluate alert rules on the stream of deltas; pure, without I/O and clock."""
