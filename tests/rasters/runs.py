"""Other ways to compute a raster's parts than one after the other."""


def on_work(do):
    """Make a ``run`` of a function of the raster's work and the indices of its parts."""
    return lambda compute, indices: do(*compute.args, indices) or ()
