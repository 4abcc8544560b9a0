"""Decide from memory whether a call may be made, given the budgets of its project."""
