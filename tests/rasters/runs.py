"""Other ways to compute a raster's parts than one after the other."""


def on_plan(do):
    """Make a ``run`` of a function of the raster's plan and the indices of its parts."""
    return lambda compute, indices: do(*compute.args, indices) or ()
