"""Registration: whether units look where people place them."""
