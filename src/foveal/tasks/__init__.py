"""What receptive fields mean for a task: an audit takes a graph and gives tables, findings and pictures."""
