"""Photos for training: folders, and low- and high-resolution patches cut from them."""
