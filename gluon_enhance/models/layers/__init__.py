"""Layers that nets share, written for MXNet's speed; the forms that they take."""
