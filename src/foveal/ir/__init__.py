"""The vocabulary: neutral operations, the graph they make, the relations between positions that rules give."""
