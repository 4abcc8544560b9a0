"""Decides when and where events without a trace id are placed."""
