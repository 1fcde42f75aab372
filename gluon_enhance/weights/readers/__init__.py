"""Readers of weight files, none of which runs code from a file."""
