"""Create each alert once."""
