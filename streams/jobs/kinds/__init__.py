"""One module per kind of job; ``streams.jobs.registry`` finds them by itself."""
