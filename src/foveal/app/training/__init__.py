"""The effective field of a network that is being trained."""
