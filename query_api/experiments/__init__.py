"""Compare runs of experiments on a dataset."""
