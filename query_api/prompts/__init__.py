"""Create, read, label and delete prompts."""
