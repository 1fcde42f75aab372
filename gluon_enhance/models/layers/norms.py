"""Normalizations that DPED, WESPE and the style nets choose from by name.

They compute the same in two ways: soundly for photos of any size, and, in nets that `fuse_norms`
made fast, in a fraction of the time for the patches of training.

References
----------
.. [1] Ulyanov et al., "Instance Normalization: The Missing Ingredient for Fast Stylization", 2016.
   https://arxiv.org/abs/1607.08022
"""

from functools import partial

from gluon_enhance.forms import EXPORTING, FAST, PLAIN, set_form
from gluon_enhance.framework import mx
from gluon_enhance.models.layers.convolutions import DoublingConv2D, unblocked

nn = mx.gluon.nn

AXES = {"instance": (2,), "batch_stats": (0, 2), "layer": (1, 2)}
"""Over which axes of (N, C, H) each norm averages the means of the rows of (N, C, H, W)."""

SCRATCH = ("scratch_mean", "scratch_variance")
"""Running averages that MXNet's BatchNorm writes and nobody reads."""

NORMS = (*AXES, "batch")


class MomentNorm(mx.gluon.HybridBlock):
    """Subtract the mean and divide by the deviation of the batch at hand, then scale and shift.

    The variance is the biased one, of centered values, and sums run row by row: MXNet's own
    InstanceNorm and LayerNorm add a photo's every pixel in float32, and drift.

    Attributes
    ----------
    form : str
        As in `gluon_enhance.forms`. While exporting, the norm is traced as MXNet's
        InstanceNorm, which becomes the one ONNX node of that name; engines compute it well and
        tiling can find it.

    Parameters
    ----------
    norm : {'instance', 'batch_stats', 'layer'}
        As in `make_norm`.
    channels : int
        Scales and shifts are per channel.
    epsilon : float
        Added to the variance.

    Inputs:
        - **data**: (N, channels, H, W).

    Outputs:
        - **out**: (N, channels, H, W).
    """

    needs_whole_image = True

    def __init__(self, norm, channels, epsilon, **kwargs):
        super().__init__(**kwargs)
        self.form = PLAIN
        self.norm = norm
        self._epsilon = epsilon
        self.fused = False
        with self.name_scope():
            self.gamma = self.params.get("gamma", shape=(channels,), init="ones")
            self.beta = self.params.get("beta", shape=(channels,), init="zeros")

    def fuse(self):
        """Compute by MXNet's BatchNorm from now on: right in training mode, for the whole batch."""
        if self.fused:
            return
        self.fused = True
        for name in SCRATCH:
            # Not an attribute, it is among `collect_params` but not in files of parameters.
            unread = self.params.get(name, shape=self.gamma.shape, init="zeros", grad_req="null")
            unread.initialize(ctx=self.gamma.list_ctx())

    def hybrid_forward(self, F, x, gamma, beta):
        if self.form == EXPORTING:
            return getattr(self, f"_export_{self.norm}")(F, x, gamma, beta)
        if self.form == FAST and self.fused:
            unread = [self.params.get(name) for name in SCRATCH]
            is_symbol = isinstance(x, mx.sym.Symbol)
            unread = [p.var() if is_symbol else p.data(x.ctx) for p in unread]
            return F.BatchNorm(x, gamma, beta, *unread, eps=self._epsilon, fix_gamma=False)
        mean_of = self._mean
        if self.form == FAST:
            x = unblocked(F, x)  # else every operator here converts it: a third of the speed
            mean_of = partial(self._quick_mean, averaging=self._averaging(F, x))
        centered = F.broadcast_sub(x, mean_of(F, x))
        deviation = F.sqrt(mean_of(F, F.square(centered)) + self._epsilon)
        gamma, beta = F.reshape(gamma, (1, -1, 1, 1)), F.reshape(beta, (1, -1, 1, 1))
        gain = F.broadcast_mul(gamma, F.reciprocal(deviation))
        return F.broadcast_add(F.broadcast_mul(centered, gain), beta)

    def _mean(self, F, x):
        """Average rows, then the means of rows; not by F.mean, which new onnx packages refuse."""
        counted = F.slice_axis(x, axis=1, begin=0, end=1)  # all channels are as wide
        for axes in ((3,), AXES[self.norm]):
            count = F.sum(F.ones_like(counted), axis=axes, keepdims=True)
            x = counted = F.broadcast_div(F.sum(x, axis=axes, keepdims=True), count)
        return x

    def _averaging(self, F, x):
        """Make the vector whose product with a row is its mean: faster than F.mean."""
        row = F.slice(x, begin=(0, 0, 0), end=(1, 1, 1))
        ones = F.ones_like(F.reshape(row, (-1,)))
        return F.broadcast_div(ones, F.sum(ones))

    def _quick_mean(self, F, x, averaging):
        rows = F.dot(x, averaging)
        return F.expand_dims(F.mean(rows, axis=AXES[self.norm], keepdims=True), axis=3)

    def _export_instance(self, F, x, gamma, beta):
        return F.InstanceNorm(x, gamma, beta, eps=self._epsilon)

    def _export_batch_stats(self, F, x, gamma, beta):
        turned = F.transpose(x, (1, 0, 2, 3))
        image = F.expand_dims(F.reshape(turned, (0, -1)), axis=0)  # one, of N * H * W pixels
        result = F.InstanceNorm(image, gamma, beta, eps=self._epsilon)
        return F.transpose(F.reshape_like(result, turned), (1, 0, 2, 3))

    def _export_layer(self, F, x, gamma, beta):
        plane = F.reshape(x, (0, 1, -1))  # one channel, of C * H * W pixels
        one = F.ones((1,))
        result = F.reshape_like(F.InstanceNorm(plane, one, 0 * one, eps=self._epsilon), x)
        result = F.broadcast_mul(result, F.reshape(gamma, (1, -1, 1, 1)))
        return F.broadcast_add(result, F.reshape(beta, (1, -1, 1, 1)))


class NormalizedNet(mx.gluon.HybridBlock):
    """A net whose norms `fuse_norms` can make quick.

    A batch norm in training mode normalizes a batch of one image as an instance norm does: nets
    with fused instance norms run image by image.

    Their transposed convolutions have to be `DoublingConv2D`: gradients of all images add up.
    """

    fused_norm = None
    """The kind that is fused."""

    def __call__(self, x):
        if self.fused_norm is None or isinstance(x, mx.sym.Symbol):
            return super().__call__(x)
        call = super().__call__
        with mx.autograd.train_mode():
            if self.fused_norm == "batch_stats":
                return call(x)
            return mx.nd.concat(*(call(x[k : k + 1]) for k in range(len(x))), dim=0)


def fuse_norms(net):
    """Have a net's norms over images or batches computed by oneDNN's batch normalization.

    That takes a tenth of the time, forward and backward, but sums pixels in float32, which drifts
    for photos: it is for training. The net is fast then, in the sense of
    `gluon_enhance.forms`. One of another class or with other norms stays as it is.

    Parameters
    ----------
    net : HybridBlock
        Initialized.
    """
    norms = []
    net.apply(lambda block: norms.append(block) if isinstance(block, MomentNorm) else None)
    kinds = {norm.norm for norm in norms}
    if isinstance(net, NormalizedNet) and kinds in ({"instance"}, {"batch_stats"}):
        for norm in norms:
            norm.fuse()
        net.fused_norm = kinds.pop()
        net.apply(_make_repeatable)
        set_form(net, FAST)


def _make_repeatable(block):
    if isinstance(block, DoublingConv2D):
        block.repeatable = True


def make_norm(norm, channels, epsilon):
    """Build a normalization by name.

    Parameters
    ----------
    norm : {'instance', 'batch_stats', 'layer', 'batch'}
        Statistics over each channel of each image; over each channel of the whole batch, in
        training and use alike; over each whole image; or Gluon's BatchNorm, which in use has
        running averages.
    channels : int
    epsilon : float
        Added to the variance.

    Returns
    -------
    HybridBlock

    Raises
    ------
    ValueError
        If there is no such norm.
    """
    if norm not in NORMS:
        raise ValueError(f"norm is {norm!r}; choose one of {', '.join(NORMS)}")
    if norm == "batch":
        return nn.BatchNorm(epsilon=epsilon, in_channels=channels)
    return MomentNorm(norm, channels, epsilon)
