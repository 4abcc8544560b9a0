"""Dimensions: what windows and spend are counted by, and what the API filters and groups them by."""
