"""One module per kind of job, which ``streams.jobs.registry`` discovers."""
