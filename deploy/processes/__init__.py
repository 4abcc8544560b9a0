"""The roles: each module composes the parts of one process and runs it until a stop signal."""
