"""One module per kind of control record; ``producers.control.registry`` finds them."""
