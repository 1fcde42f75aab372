"""What the package's own web pages share: who may ask, how they are served, and their look."""
