"""Compute limits, groups and forecasts of budgets, in the streams and the query API alike."""
