"""How records show themselves in Python: in a few lines, as a card in a notebook, on axes, as rows of a table."""
