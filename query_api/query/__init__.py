"""Answer aggregate queries: choose a source, and write the SQL of measures and dimensions."""
