"""Alerts as the stages make them: which ones there were, and what a rule's finding becomes."""
