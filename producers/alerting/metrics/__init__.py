"""One module per family of metrics; ``producers.alerting.registry`` finds them."""
