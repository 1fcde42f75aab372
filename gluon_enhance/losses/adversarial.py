"""Adversarial losses, interchangeable: each has a part for the generator and the discriminator.

All take raw logits, before any sigmoid: (N,), (N, 1), or a map (N, 1, h, w), whose mean counts.
Logits high for real images. Of a head with two classes, real and fake, give the difference of its
outputs: the softmax of the two is the sigmoid of that. Only where `relativistic` is True does the
generator's part use the real logits; None will do elsewhere.

Both parts take `sample_weight` last, one number for each sample (for each pair of a real and a fake
one, in the discriminator's), which may be left out.

References
----------
.. [1] Goodfellow et al., "Generative Adversarial Networks", NeurIPS 2014.
   https://arxiv.org/abs/1406.2661
.. [2] Mao et al., "Least Squares Generative Adversarial Networks", ICCV 2017.
   https://arxiv.org/abs/1611.04076
.. [3] Jolicoeur-Martineau, "The Relativistic Discriminator: a Key Element Missing from Standard
   GAN", ICLR 2019. https://arxiv.org/abs/1807.00734
.. [4] Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
   ECCV Workshops 2018. https://arxiv.org/abs/1809.00219
.. [5] Lim and Ye, "Geometric GAN", 2017. https://arxiv.org/abs/1705.02894
"""

from __future__ import annotations

from gluon_enhance.framework import mx
from gluon_enhance.losses.conventions import batch_first, weighted


class _Adversarial:
    relativistic = False

    def __init__(self, weight=None, batch_axis=0):
        self._weight, self._batch_axis = weight, batch_axis

    def _weighted(self, losses, sample_weight):
        if self._weight is None and sample_weight is None:
            return losses
        return weighted(mx.nd, losses, self._weight, sample_weight)

    def _mean(self, values):
        """Average what is there of each sample: (N,)."""
        if self._batch_axis:
            values = batch_first(mx.nd, values, self._batch_axis, values.ndim)
        return values.reshape((0, -1)).mean(axis=1)


class StandardAdversarial(_Adversarial):
    """The cross-entropy of the first GAN [1]_, used by SRGAN, DPED and WESPE.

    Parameters
    ----------
    saturating : bool
        False: the generator minimizes -log D(fake), as SRGAN's and WESPE's do. True: it minimizes
        log(1 - D(fake)), the other player's loss negated, as DPED's code does; its gradient
        vanishes while the discriminator is sure.
    weight : float or None
    batch_axis : int

    Examples
    --------
    >>> loss, real, fake = StandardAdversarial(), mx.nd.array([4.0]), mx.nd.array([-4.0])
    >>> loss.discriminator(real, fake).asscalar() < 0.1 < loss.generator(real, fake).asscalar()
    True
    """

    def __init__(self, saturating: bool = False, weight=None, batch_axis=0):
        super().__init__(weight, batch_axis)
        self._saturating = saturating

    def generator(self, real_logits, fake_logits, sample_weight=None):
        """Return the generator's loss, (N,); the real logits are not used."""
        if self._saturating:
            return self._weighted(-self._mean(_is_fake(fake_logits)), sample_weight)
        return self._weighted(self._mean(_is_real(fake_logits)), sample_weight)

    def discriminator(self, real_logits, fake_logits, sample_weight=None):
        """Return the discriminator's loss, (N,): the sum for real and fake, not the mean."""
        loss = self._mean(_is_real(real_logits)) + self._mean(_is_fake(fake_logits))
        return self._weighted(loss, sample_weight)


class LeastSquaresAdversarial(_Adversarial):
    """Squared distance of the logits to 1 (real) and 0 (fake) [2]_, in CycleGAN's scaling.

    Parameters
    ----------
    weight : float or None
    batch_axis : int

    Examples
    --------
    >>> loss, real, fake = LeastSquaresAdversarial(), mx.nd.array([1.0]), mx.nd.array([0.0])
    >>> float(loss.generator(real, fake).asscalar())
    1.0
    """

    def generator(self, real_logits, fake_logits, sample_weight=None):
        """Return the generator's loss, (N,); the real logits are not used."""
        return self._weighted(self._mean((fake_logits - 1) ** 2), sample_weight)

    def discriminator(self, real_logits, fake_logits, sample_weight=None):
        """Return the discriminator's loss, (N,): half the sum for real and fake."""
        loss = 0.5 * (self._mean((real_logits - 1) ** 2) + self._mean(fake_logits**2))
        return self._weighted(loss, sample_weight)


class ProbabilityAdversarial(_Adversarial):
    """How probable it is that the discriminator errs, itself and not its logarithm.

    So it is in leftthomas's SRGAN, https://github.com/leftthomas/SRGAN: the gradient vanishes while
    the discriminator is sure, of either.

    Parameters
    ----------
    weight : float or None
    batch_axis : int

    Examples
    --------
    >>> loss, real, fake = ProbabilityAdversarial(), mx.nd.array([0.0]), mx.nd.array([0.0])
    >>> [float(part(real, fake).asscalar()) for part in (loss.generator, loss.discriminator)]
    [0.5, 1.0]
    """

    def generator(self, real_logits, fake_logits, sample_weight=None):
        """Return the generator's loss, (N,): 1 - D(fake); the real logits are not used."""
        return self._weighted(1 - self._mean(mx.nd.sigmoid(fake_logits)), sample_weight)

    def discriminator(self, real_logits, fake_logits, sample_weight=None):
        """Return the discriminator's loss, (N,): 1 - D(real) + D(fake)."""
        real, fake = (self._mean(mx.nd.sigmoid(x)) for x in (real_logits, fake_logits))
        return self._weighted(1 - real + fake, sample_weight)


class HingeAdversarial(_Adversarial):
    """Distance of the logits from beyond 1 (real) and -1 (fake) [5]_.

    Parameters
    ----------
    weight : float or None
    batch_axis : int

    Examples
    --------
    >>> loss, real, fake = HingeAdversarial(), mx.nd.array([1.0]), mx.nd.array([-1.0])
    >>> float(loss.discriminator(real, fake).asscalar())
    0.0
    """

    def generator(self, real_logits, fake_logits, sample_weight=None):
        """Return the generator's loss, (N,), without a bound; the real logits are not used."""
        return self._weighted(self._mean(-fake_logits), sample_weight)

    def discriminator(self, real_logits, fake_logits, sample_weight=None):
        """Return the discriminator's loss, (N,): the sum for real and fake."""
        real = self._mean(mx.nd.relu(1 - real_logits))
        return self._weighted(real + self._mean(mx.nd.relu(1 + fake_logits)), sample_weight)


class RelativisticAverageAdversarial(_Adversarial):
    """Cross-entropy of how much more real an image is than the others' average [3]_.

    As in ESRGAN's code [4]_ both parts are half of the paper's sums, and the gradient does not
    pass through what the other player made: neither the real logits in the generator's loss, nor
    the averages in the discriminator's. In the averages all samples count alike.

    Parameters
    ----------
    weight : float or None
    batch_axis : int

    Examples
    --------
    >>> loss, real, fake = RelativisticAverageAdversarial(), mx.nd.array([4.0]), mx.nd.array([-4.0])
    >>> loss.discriminator(real, fake).asscalar() < 0.1 < loss.generator(real, fake).asscalar()
    True
    """

    relativistic = True

    def generator(self, real_logits, fake_logits, sample_weight=None):
        """Return the generator's loss, (N,)."""
        real_logits = mx.nd.BlockGrad(real_logits)
        real = self._mean(_is_fake(real_logits - fake_logits.mean()))
        loss = 0.5 * (real + self._mean(_is_real(fake_logits - real_logits.mean())))
        return self._weighted(loss, sample_weight)

    def discriminator(self, real_logits, fake_logits, sample_weight=None):
        """Return the discriminator's loss, (N,)."""
        real_mean, fake_mean = (mx.nd.BlockGrad(x.mean()) for x in (real_logits, fake_logits))
        real = self._mean(_is_real(real_logits - fake_mean))
        loss = 0.5 * (real + self._mean(_is_fake(fake_logits - real_mean)))
        return self._weighted(loss, sample_weight)


def _is_real(logits):
    return _softplus(-logits)


def _is_fake(logits):
    return _softplus(logits)


def _softplus(x):
    """Compute log(1 + exp(x)) without overflow; MXNet's softrelu is 1% off at -10 on CPUs."""
    magnitude = mx.nd.abs(x)
    # (x + |x|) / 2 is relu(x) with the right gradient, 1/2, for logits of 0: an untrained net's.
    return 0.5 * (x + magnitude) + mx.nd.log1p(mx.nd.exp(-magnitude))


#: Name -> adversarial loss, as the training scripts offer them.
KINDS = {
    "standard": StandardAdversarial,
    "least_squares": LeastSquaresAdversarial,
    "hinge": HingeAdversarial,
    "relativistic": RelativisticAverageAdversarial,
    "probability": ProbabilityAdversarial,
}
