"""Check dashboards, and read and write them as documents."""
