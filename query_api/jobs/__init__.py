"""The states of jobs, which workers write to a topic."""
