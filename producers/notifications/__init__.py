"""Alerts and the notification events that webhooks and ``/v1/alerts`` make of them."""
