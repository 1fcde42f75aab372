"""Nets that need the whole image, run over strips of it."""
