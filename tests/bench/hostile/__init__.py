"""Measure how hostile inputs of one project affect another one."""
