"""Deletes everything that belongs to a project; the job ``ProjectDeletions`` runs it."""
