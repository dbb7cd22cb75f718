"""Wires batching and writing into one service, and reports on it."""
