"""Delete everything that belongs to a project; the job kind ``ProjectDeletions`` runs this."""
