"""Dimensions by which windows and spend are counted, filtered and grouped."""
