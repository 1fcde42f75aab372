"""Trained weights: found, verified, downloaded, read and fitted to a net."""
