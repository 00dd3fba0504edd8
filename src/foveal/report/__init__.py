"""All layers of a network in one record; costs, findings, growth, and two networks side by side."""
