"""Forward over the graph: the exact hull of every unit of every layer."""
