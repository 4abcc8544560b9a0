"""Finds the traces of events that do not name them, and passes the events on."""
