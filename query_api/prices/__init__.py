"""What both dialects of the API know about prices."""
