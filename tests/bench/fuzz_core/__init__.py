"""Random valid but hostile events through the pure core of stage 1."""
