"""Alerts, and the notification events that present them in webhooks and ``/v1/alerts``."""
