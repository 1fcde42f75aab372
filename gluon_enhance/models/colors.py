"""Nets of other colors than RGB, as RGB: every net of the zoo takes and gives three channels."""

CHANNELS = (3, 1, 4)
"""RGB, gray, and RGB with alpha."""


def check_channels(channels):
    """Refuse nets whose images are of no colors known here."""
    if channels not in CHANNELS:
        raise ValueError(f"image_channels is {channels}; nets have 3 (RGB), 1 (gray) or 4 (RGBA)")


def from_rgb(F, x, channels):
    """Make what the net takes of (N, 3, H, W): gray nets see each color, RGBA nets alpha 1."""
    if channels == 1:
        return F.concat(*(F.slice_axis(x, axis=1, begin=c, end=c + 1) for c in range(3)), dim=0)
    if channels == 4:
        # Of the image itself: a constant would have no size that a graph knows.
        opaque = F.slice_axis(x, axis=1, begin=0, end=1) * 0 + 1
        return F.concat(x, opaque, dim=1)
    return x


def to_rgb(F, x, channels):
    """Undo `from_rgb` for what the net gives."""
    if channels == 1:
        return F.concat(*F.split(x, num_outputs=3, axis=0), dim=1)
    return F.slice_axis(x, axis=1, begin=0, end=3) if channels == 4 else x
