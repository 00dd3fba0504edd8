"""What is printed and drawn, in the reader's language."""
