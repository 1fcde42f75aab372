"""Steps of nets with one weight each, whose losses and gradients have closed forms."""

import numpy as np
import pytest

from gluon_enhance.framework import mx
from gluon_enhance.losses import (
    L1Loss,
    L2Loss,
    LeastSquaresAdversarial,
    RelativisticAverageAdversarial,
    StandardAdversarial,
)
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.gan import Critic, DynamicBalance, FixedRatio
from gluon_enhance.training.steps import AdversarialStep, CycleStep, SupervisedStep

RATE = 1e-3
CONTEXTS = ("cpu", "cpu(0),cpu(1)")


class Gain(mx.gluon.HybridBlock):
    """Multiplies images by a weight; as a discriminator, their mean: (N, 1)."""

    def __init__(self, start, devices, mean=False):
        super().__init__()
        self._mean = mean
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(1,), init=mx.init.Constant(start))
        self.initialize(ctx=devices.contexts)

    def hybrid_forward(self, F, x, weight):
        x = F.broadcast_mul(x, F.reshape(weight, (1, 1, 1, 1)))
        return F.reshape(F.mean(x, axis=0, exclude=True), (-1, 1)) if self._mean else x

    @property
    def gradient(self):
        """Of the sum over the batch: after a step every context has it."""
        return self.weight.list_grad()[-1].asscalar()

    @property
    def value(self):
        return self.weight.list_data()[0].asscalar()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.log(1 + np.exp(x))


def means(images):
    return images.astype(np.float64).mean(axis=(1, 2, 3))


@pytest.fixture
def batch(rng):
    return rng.random((4, 3, 5, 5), np.float32), rng.random((4, 3, 5, 5), np.float32)


def numbers(log):
    return {name: value.asscalar() for name, value in log.items()}


@pytest.mark.parametrize("ctx", CONTEXTS)
def test_supervised_step_descends_the_sum_of_its_losses(ctx, batch):
    devices = Devices(ctx, 4)
    net = Gain(0.7, devices)
    losses = {"l2": L2Loss(weight=3), "l1": L1Loss(weight=0.5)}
    step = SupervisedStep(net, losses, devices.trainer([net], RATE), devices)
    log = numbers(step(batch))
    lr, hr = (images.astype(np.float64) for images in batch)
    difference = 0.7 * lr - hr
    assert log["l2"] == pytest.approx(3 * (difference**2).mean(), rel=1e-5)
    assert log["l1"] == pytest.approx(0.5 * np.abs(difference).mean(), rel=1e-5)
    gradient = (6 * difference * lr + 0.5 * np.sign(difference) * lr).mean()
    # Adam's first step is the learning rate, against the gradient's sign.
    assert net.value == pytest.approx(0.7 - RATE * np.sign(gradient), abs=1e-6)


def adversarial_step(devices, saturating=False):
    net, judge = Gain(0.7, devices), Gain(2.0, devices, mean=True)
    critics = {"critic": Critic(judge, StandardAdversarial(saturating), 0.25)}
    trainers = {
        "generator": devices.trainer([net], RATE),
        "critics": devices.trainer([judge], RATE),
    }
    return AdversarialStep(net, critics, {"l2": L2Loss()}, trainers, devices), net, judge


@pytest.mark.parametrize("saturating", [False, True])
def test_adversarial_step_has_the_gradients_of_both_players(batch, saturating):
    step, net, judge = adversarial_step(Devices("cpu", 4), saturating)
    log = numbers(step(batch))
    lr, hr = (images.astype(np.float64) for images in batch)
    fake, real = 2 * means(0.7 * lr), 2 * means(hr)
    generator = -softplus(fake) if saturating else softplus(-fake)
    assert log["critic"] == pytest.approx(0.25 * generator.mean(), rel=1e-5)
    assert log["critic_loss"] == pytest.approx((softplus(-real) + softplus(fake)).mean(), rel=1e-5)
    assert log["critic_accuracy"] == 0.5  # all logits are positive
    spreads = [images.std(axis=(2, 3)).mean() for images in (0.7 * lr, hr)]
    assert log["spread"] == pytest.approx(np.divide(*spreads), rel=2e-3)
    slope = -sigmoid(fake) if saturating else -sigmoid(-fake)
    expected = 2 * ((0.7 * lr - hr) * lr).mean() + 0.25 * (slope * 2 * means(lr)).mean()
    assert net.gradient / 4 == pytest.approx(expected, rel=1e-4)
    # The critic's gradient is its own loss's alone, and does not see the generator's update.
    expected = (-sigmoid(-real) * means(hr) + sigmoid(fake) * means(0.7 * lr)).mean()
    assert judge.gradient / 4 == pytest.approx(expected, rel=1e-4)


def test_losses_are_measured_with_their_total_and_nothing_is_learned(batch):
    for step in (adversarial_step(Devices("cpu", 4))[0], cycle_step(Devices("cpu", 4), True)[0]):
        before = {name: net.value for name, net in step.nets.items()}
        measured = step.measure(batch)
        assert {name: net.value for name, net in step.nets.items()} == before
        # A step logs the same, but for the total and the spread, before it learns from its batch.
        log = numbers(step(batch))
        assert measured.pop("total") == pytest.approx(
            sum(value for name, value in log.items() if not name.endswith(("loss", "racy", "ead")))
        )
        del log["spread"]
        assert measured == pytest.approx(log, rel=1e-5)


def cycle_step(devices, backward_critics, balance=None):
    a, b = Gain(1.5, devices), Gain(0.8, devices)
    judges = [Gain(start, devices, mean=True) for start in (2.0, -1.0)]
    forward, backward = (
        {name: Critic(judge, StandardAdversarial(), 0.25)}
        for name, judge in zip(("critic", "backward_critic"), judges)
    )
    if not backward_critics:
        judges, backward = judges[:1], {}
    trainers = {
        "generators": devices.trainer([a, b], RATE),
        "critics": devices.trainer(judges, RATE),
    }
    losses = {"cycle": L1Loss(weight=2)}, {"image": L2Loss(weight=3)}
    return CycleStep(a, b, forward, backward, *losses, trainers, devices, balance), a, b, judges


@pytest.mark.parametrize("ctx", CONTEXTS)
def test_cycle_step_has_the_gradients_of_both_directions(batch, ctx):
    step, a, b, (judge, backward_judge) = cycle_step(Devices(ctx, 4), backward_critics=True)
    log = numbers(step(batch))
    x, y = (images.astype(np.float64) for images in batch)
    fake_y, fake_x = 2 * means(1.5 * x), -means(0.8 * y)
    expected = {
        "cycle": 2 * 0.2 * x.mean(),  # 1.5 * 0.8 - 1 = 0.2
        "image": 3 * 0.5**2 * (x**2).mean(),
        "critic": 0.25 * softplus(-fake_y).mean(),
        "backward_cycle": 2 * 0.2 * y.mean(),
        "backward_image": 3 * 0.2**2 * (y**2).mean(),
        "backward_critic": 0.25 * softplus(-fake_x).mean(),
        "critic_loss": (softplus(-2 * means(y)) + softplus(fake_y)).mean(),
        "backward_critic_loss": (softplus(means(x)) + softplus(fake_x)).mean(),
        "critic_accuracy": 0.5,
        "backward_critic_accuracy": 0.5,
    }
    assert log.pop("spread") == pytest.approx(1.5, rel=2e-3)
    assert log == pytest.approx(expected, rel=1e-4)

    cycle = 2 * (x.mean() + y.mean())
    forward = 3 * 2 * 0.5 * (x**2).mean() - 0.25 * (sigmoid(-fake_y) * 2 * means(x)).mean()
    assert a.gradient / 4 == pytest.approx(cycle * 0.8 + forward, rel=1e-4)
    backward = -3 * 2 * 0.2 * (y**2).mean() + 0.25 * (sigmoid(-fake_x) * means(y)).mean()
    assert b.gradient / 4 == pytest.approx(cycle * 1.5 + backward, rel=1e-4)
    judged = -sigmoid(-2 * means(y)) * means(y) + sigmoid(fake_y) * means(1.5 * x)
    assert judge.gradient / 4 == pytest.approx(judged.mean(), rel=1e-4)
    judged = -sigmoid(means(x)) * means(x) + sigmoid(fake_x) * means(0.8 * y)
    assert backward_judge.gradient / 4 == pytest.approx(judged.mean(), rel=1e-4)


def test_cycle_step_without_backward_critics_goes_one_way(batch):
    step, a, b, (judge,) = cycle_step(Devices("cpu", 4), backward_critics=False)
    log = numbers(step(batch))
    assert set(log) == {"cycle", "image", "critic", "spread", "critic_loss", "critic_accuracy"}
    x = batch[0].astype(np.float64)
    assert b.gradient / 4 == pytest.approx(2 * 1.5 * x.mean(), rel=1e-4)  # of the cycle alone


def test_balance_decides_whether_critics_learn(batch):
    # The adversarial loss is over the threshold: the critics stop when the window is full.
    balance = DynamicBalance(0.0, generator_threshold=1e-3, window=2)
    step, a, _, (judge,) = cycle_step(Devices("cpu", 4), False, balance)
    first, value = numbers(step(batch)), judge.value
    assert first["critics_learn"] == 1 and value != 2.0
    second = numbers(step(batch))
    assert second["critics_learn"] == 0 and "critic_loss" not in second
    assert judge.value == value and a.value != 1.5
    # Of the generators' losses it sees what the critics make, not the cycle's and the image's.
    assert balance.state["generator_losses"][-1] == pytest.approx(second["critic"], rel=1e-5)
    assert balance.state["critic_losses"] == pytest.approx([first["critic_loss"]])


def test_under_a_fixed_ratio_generators_stay_while_the_critics_learn(batch):
    step, *generators, judges = cycle_step(Devices("cpu", 4), True, FixedRatio("1:2"))
    plain, *_ = cycle_step(Devices("cpu", 4), True)
    first, expected = numbers(step(batch)), numbers(plain(batch))
    judged = {name for name in expected if name.endswith(("_loss", "_accuracy", "spread"))}
    assert first == pytest.approx({**{n: expected[n] for n in judged}, "critics_learn": 1})
    assert [net.value for net in generators] == pytest.approx([1.5, 0.8])
    assert step.average.count == 0 and all(j.value not in (2.0, -1.0) for j in judges)
    second = numbers(step(batch))
    assert second.keys() == expected.keys() | {"critics_learn"}
    assert step.average.count == 1 and generators[0].value != 1.5


@pytest.mark.parametrize("kind", ["adversarial", "cycle"])
def test_spread_of_flat_photos_is_finite_and_1_where_the_output_is_flat_too(kind):
    devices, flat = Devices("cpu", 4), np.full((4, 3, 5, 5), 0.5, np.float32)
    step = adversarial_step(devices)[0] if kind == "adversarial" else cycle_step(devices, True)[0]
    assert numbers(step((flat, flat)))["spread"] == pytest.approx(1)


@pytest.fixture
def devices():
    return Devices("cpu", 4)


def test_critic_with_two_classes_has_their_difference_for_logit(batch):
    real_and_fake = mx.gluon.nn.Dense(2, use_bias=False, in_units=75)
    real_and_fake.initialize(mx.init.Normal(1))
    images = mx.nd.array(batch[0])
    real, fake = real_and_fake(images).asnumpy().T
    logits = Critic(real_and_fake, StandardAdversarial(), 1).logits(images)
    np.testing.assert_allclose(logits.asnumpy(), (real - fake)[:, None], rtol=1e-5)


def test_critic_sees_its_view_of_both_sides(batch, devices):
    judge = Gain(1.0, devices, mean=True)
    critic = Critic(judge, LeastSquaresAdversarial(), 0.5, view=lambda images: 1 - images)
    fake, real = (mx.nd.array(images) for images in batch)
    expected = 0.5 * (1 - means(batch[0]) - 1) ** 2
    np.testing.assert_allclose(critic.generator_loss(real, fake).asnumpy(), expected, rtol=1e-5)
    loss, accuracy = critic.discriminator_loss(real, fake)
    expected = 0.5 * (means(batch[1]) ** 2 + (1 - means(batch[0])) ** 2)
    np.testing.assert_allclose(loss.asnumpy(), expected, rtol=1e-5)
    assert accuracy.asscalar() == 0.5


def test_relativistic_critic_is_right_where_images_are_above_the_others_mean(devices):
    critic = Critic(Gain(1.0, devices, mean=True), RelativisticAverageAdversarial(), 1)
    real = mx.nd.array([0.9, 0.8, 0.3, 0.7]).reshape((4, 1, 1, 1))
    fake = mx.nd.array([0.1, 0.2, 0.6, 0.7]).reshape((4, 1, 1, 1))
    _, accuracy = critic.discriminator_loss(real, fake)
    # Means are 0.675 and 0.4: three real ones are above 0.4, three false ones below 0.675.
    assert accuracy.asscalar() == 0.75


def test_generator_loss_leaves_no_gradient_for_the_real_images(batch, devices):
    judge = Gain(2.0, devices, mean=True)
    critic = Critic(judge, RelativisticAverageAdversarial(), 1)
    real, fake = (mx.nd.array(images) for images in batch)
    for images in (real, fake):
        images.attach_grad()
    with mx.autograd.record():
        critic.generator_loss(real, fake).sum().backward()
    assert fake.grad.abs().sum().asscalar() > 0 and not real.grad.abs().sum().asscalar()
