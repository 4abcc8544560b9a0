"""Count what each project has sent in the current day and month, over all gateways."""
