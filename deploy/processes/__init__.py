"""The roles: each module joins the rooms that one process needs, and runs until it is told to stop."""
