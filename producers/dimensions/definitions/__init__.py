"""All dimensions: one module each, which defines ``DIMENSION``; they are found by name."""
