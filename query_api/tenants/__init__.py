"""What both dialects of the API do with projects and their keys."""
