"""Decoders of tokens: what each layer reads and keeps, and how much of the reach is used."""
