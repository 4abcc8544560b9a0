"""All dimensions: each module defines ``DIMENSION`` and is registered automatically."""
