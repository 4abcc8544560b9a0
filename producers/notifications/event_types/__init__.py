"""One module per type of notification event; ``producers.notifications.registry`` finds them."""
