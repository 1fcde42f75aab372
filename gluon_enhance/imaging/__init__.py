"""Image arrays of shape (H, W) or (H, W, C): ranges, color, resizing, metrics and tiles."""
