"""Records as text, tables and CSV."""
