"""What a unit sees and how strongly: receptive fields, weighted fields, their metrics, how often a position is read."""
