import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gradients import assert_gradient_is_right, by_autograd, by_differences  # noqa: E402

from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.losses.adversarial import (  # noqa: E402
    HingeAdversarial,
    LeastSquaresAdversarial,
    ProbabilityAdversarial,
    RelativisticAverageAdversarial,
    StandardAdversarial,
)

LOSSES = (
    StandardAdversarial(),
    StandardAdversarial(saturating=True),
    LeastSquaresAdversarial(),
    HingeAdversarial(),
    ProbabilityAdversarial(),
    RelativisticAverageAdversarial(),
)
SHAPES = ((4,), (4, 1), (4, 1, 3, 2))


def nd(array, dtype="float64"):
    return mx.nd.array(array, dtype=dtype)


def samples(values):
    return values.reshape(len(values), -1).mean(axis=1)


def log_sigmoid(x):
    return np.log(1 / (1 + np.exp(-x)))


def standard(real, fake):
    d_real, d_fake = 1 / (1 + np.exp(-real)), 1 / (1 + np.exp(-fake))
    return -np.log(d_fake), -np.log(d_real) - np.log(1 - d_fake)


def saturating(real, fake):
    d_real, d_fake = 1 / (1 + np.exp(-real)), 1 / (1 + np.exp(-fake))
    return np.log(1 - d_fake), -np.log(d_real) - np.log(1 - d_fake)


def least_squares(real, fake):
    return (fake - 1) ** 2, ((real - 1) ** 2 + fake**2) / 2


def relativistic(real, fake):
    """The paper's equations with D_Ra(a, b) = sigmoid(C(a) - mean C(b)), halved."""
    real_d, fake_d = real - fake.mean(), fake - real.mean()
    generator = -log_sigmoid(-real_d) - log_sigmoid(fake_d)
    discriminator = -log_sigmoid(real_d) - log_sigmoid(-fake_d)
    return generator / 2, discriminator / 2


def hinge(real, fake):
    return -fake, np.maximum(0, 1 - real) + np.maximum(0, 1 + fake)


def probability(real, fake):
    d_real, d_fake = 1 / (1 + np.exp(-real)), 1 / (1 + np.exp(-fake))
    return 1 - d_fake, 1 - d_real + d_fake


FORMS = (standard, saturating, least_squares, hinge, probability, relativistic)
CLOSED_FORMS = dict(zip(LOSSES, FORMS))
IDS = ("standard", "saturating", "least squares", "hinge", "probability", "relativistic")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_losses_equal_their_closed_forms_for_vectors_and_maps(loss, shape, rng):
    real, fake = rng.normal(0, 3, (2, *shape))
    generator, discriminator = CLOSED_FORMS[loss](real, fake)
    for part, expected in (("generator", generator), ("discriminator", discriminator)):
        result = getattr(loss, part)(nd(real), nd(fake)).asnumpy()
        assert result.shape == (4,)
        np.testing.assert_allclose(result, samples(expected), rtol=1e-10)


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_gradient_for_the_generator_equals_finite_differences(loss, rng):
    real, fake = rng.normal(0, 2, (2, 4, 1))
    assert_gradient_is_right(lambda x: loss.generator(nd(real), x), fake)


@pytest.mark.parametrize("loss", LOSSES[:5], ids=IDS[:5])
def test_gradients_for_the_discriminator_equal_finite_differences(loss, rng):
    real, fake = rng.normal(0, 2, (2, 4, 1))
    assert_gradient_is_right(lambda x: loss.discriminator(x, nd(fake)), real)
    assert_gradient_is_right(lambda x: loss.discriminator(nd(real), x), fake)


def test_relativistic_discriminator_does_not_descend_through_the_averages(rng):
    real, fake = rng.normal(0, 2, (2, 4, 1))
    loss = RelativisticAverageAdversarial()

    def real_term(x):
        return -log_sigmoid(x - fake.mean()).sum() / 2

    def fake_term(x):
        return -log_sigmoid(real.mean() - x).sum() / 2

    by_real = by_autograd(lambda x: loss.discriminator(x, nd(fake)), real)
    by_fake = by_autograd(lambda x: loss.discriminator(nd(real), x), fake)
    np.testing.assert_allclose(by_real, by_differences(real_term, real), atol=1e-8)
    np.testing.assert_allclose(by_fake, by_differences(fake_term, fake), atol=1e-8)


def test_relativistic_generator_leaves_the_real_logits_alone(rng):
    real, fake = rng.normal(0, 2, (2, 4, 1))
    loss = RelativisticAverageAdversarial()
    assert not by_autograd(lambda x: loss.generator(x, nd(fake)) + 0 * x[:, 0], real).any()


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
@pytest.mark.parametrize("size", [100.0, 1e4])
def test_sure_logits_stay_finite_in_single_precision(loss, size):
    for sign in (1, -1):
        fake = nd(np.full((2, 1), sign * size), "float32")
        fake.attach_grad()
        with mx.autograd.record():
            total = loss.generator(-fake, fake) + loss.discriminator(-fake, fake)
        total.backward()
        assert np.isfinite(total.asnumpy()).all()
        assert np.isfinite(fake.grad.asnumpy()).all()


def test_small_losses_keep_their_precision():
    """MXNet's softrelu is 1% off here."""
    logits = np.array([[10.0], [20.0]])
    result = StandardAdversarial().generator(nd(logits), nd(logits, "float32")).asnumpy()
    np.testing.assert_allclose(result, np.log1p(np.exp(-logits[:, 0])), rtol=1e-5)


def test_an_untrained_discriminators_zeros_have_a_gradient():
    zeros = np.zeros((2, 1))
    gradient = by_autograd(lambda x: StandardAdversarial().generator(x, x), zeros)
    assert gradient == pytest.approx(-0.5)


def test_chance_level_is_two_log_two():
    zeros = nd(np.zeros((3, 1)))
    assert StandardAdversarial().discriminator(zeros, zeros).asnumpy() == pytest.approx(
        2 * np.log(2)
    )


def test_the_difference_of_two_classes_is_their_softmax(rng):
    """DPED's texture loss is minus the cross-entropy of its two-class head with 'fake'."""
    outputs = rng.normal(0, 2, (5, 2))
    softmax = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    logits = nd(outputs[:, 0] - outputs[:, 1])
    texture = StandardAdversarial(saturating=True).generator(logits, logits).asnumpy()
    np.testing.assert_allclose(texture, np.log(softmax[:, 1]), rtol=1e-10)
