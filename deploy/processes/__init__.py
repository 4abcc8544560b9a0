"""The roles: each module composes what one process needs and runs it until a stop signal."""
