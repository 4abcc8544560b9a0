"""Hostile inputs of one project, and what another project notices of them."""
