"""Random valid events, however hostile their content, through the pure core of stage 1."""
