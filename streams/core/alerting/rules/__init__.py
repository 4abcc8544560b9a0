"""Evaluate alert rules: panes of ten seconds, sliding windows and the states of groups."""
