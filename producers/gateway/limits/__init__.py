"""Rates and quotas of projects."""
