"""Prices, shared by both dialects of the API."""
