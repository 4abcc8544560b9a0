"""Bodies and shapes of alert rules, silences and alerts."""
