"""What several tasks ask: which shifts a layer follows, and the sizes over single paths."""
