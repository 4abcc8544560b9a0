"""A realistic load through the public HTTP API, so that there is something to look at."""
