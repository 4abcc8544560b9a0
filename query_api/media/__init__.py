"""Store the content of media in a directory that all query processes share."""
