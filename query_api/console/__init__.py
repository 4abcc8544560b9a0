"""Serve the console: pages of a project for people, below ``/project`` and ``/console``."""
