"""Samples of notifications, for previews and the check of templates."""
