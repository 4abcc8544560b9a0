"""Alert rules: the metrics that they compare, their templates, and silences; pure, without I/O."""
