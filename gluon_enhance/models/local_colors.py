"""Colors that a net keeps: coarsely, its output has those of its input.

References
----------
.. [1] Irani, Peleg, "Improving Resolution by Image Registration", CVGIP: Graphical Models and Image
   Processing, 1991. https://doi.org/10.1016/1049-9652(91)90045-L
"""

RADIUS = 4
"""Of each of the two means, in pixels of the input: JPEG's errors of color lie in squares of 8."""


def keep_local_colors(F, out, x, scale):
    """Add what the output's local means lack of the input's: back-projection [1]_ of coarse errors.

    The correction is a mean of means, so it changes little from pixel to pixel, and nothing of
    edges and texture. Where `out` is even, as a net's is of an even input, it gets the input's
    color.

    Parameters
    ----------
    F : module
        ``mx.nd`` or ``mx.sym``.
    out : NDArray or Symbol of shape (N, C, H * scale, W * scale)
    x : NDArray or Symbol of shape (N, C, H, W)
    scale : int

    Returns
    -------
    NDArray or Symbol of the shape of `out`
    """
    cell, side = (scale, scale), (2 * RADIUS + 1,) * 2
    lacking = x - F.Pooling(out, kernel=cell, stride=cell, pool_type="avg")
    for _ in range(2):
        lacking = F.Pooling(
            lacking,
            kernel=side,
            stride=(1, 1),
            pad=(RADIUS, RADIUS),
            pool_type="avg",
            count_include_pad=False,
        )
    return out + F.UpSampling(lacking, scale=scale, sample_type="nearest")
