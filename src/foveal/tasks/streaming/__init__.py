"""Streaming: past, future, latency and memory of a network that runs on a stream."""
