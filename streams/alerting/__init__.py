"""Run the alerting stage: rules and budgets, evaluated on ``deltas`` without the store."""
