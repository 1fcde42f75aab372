"""Enhancing images: with a net on an engine, or with a kernel that nets are compared with."""
