"""The names that weights have in files of official nets."""
