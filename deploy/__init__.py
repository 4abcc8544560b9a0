"""The composition root: the command line, the roles, and the engines of `tracemill up`."""
