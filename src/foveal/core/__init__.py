"""What every room needs and that knows nothing of networks: errors, records as JSON, worker processes, progress."""
