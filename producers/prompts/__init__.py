"""Texts of prompts that include other prompts, and the split of traffic over labels."""
