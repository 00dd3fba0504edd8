"""What the page says of a layer beyond the report's row: its place in the network, its tokens, its level."""
