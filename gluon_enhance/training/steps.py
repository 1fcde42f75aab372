"""What is done with one batch: forward, backward, update, and the average of the weights.

A step is called with a batch, a tuple of arrays (N, ...), mostly inputs and truths, and returns
what to log, {name: NDArray of one number}. Losses are given by name,
``{"pixel": L1Loss(weight=1e-2), ...}``; what is logged is the weighted value, so that the terms of
a sum can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager

from gluon_enhance.forms import FAST, set_form
from gluon_enhance.framework import mx
from gluon_enhance.models.layers.norms import fuse_norms
from gluon_enhance.training.gan import CollapseWatch
from gluon_enhance.training.gradients import AT_ONCE, GradientSum, are_finite, before_update
from gluon_enhance.training.validation import BestNet

LEAST_SPREAD = 1e-3
"""A quarter of an 8-bit level: what flat patches are taken to vary by, so that no spread is 0."""


class Step:
    """What all steps have: nets, their trainers, and the averaged generator.

    Parameters
    ----------
    nets, trainers : dict
        By name. A checkpoint saves all of them.
    generator : str
        The net that is averaged, validated and shipped, and its trainer.
    devices : Devices
        Where the batch is computed.
    """

    balance = None

    #: Discriminators by name, of a step that has some.
    critics: Mapping = {}

    #: Steps left out so far because a number in them was not finite, and whether this one is.
    skipped, refused = 0, False

    # What the run's options change, in `take_options`: what is done to gradients before an update,
    # whether a step that is not finite is left out, and the pieces that a batch is computed in.
    _prepare, _skips, _pieces = None, False, 1

    def __init__(self, nets, trainers, generator, devices):
        for net in nets.values():
            set_form(net, FAST)
            fuse_norms(net)
        self.nets = nets
        self.trainers = trainers
        self.devices = devices
        self.average = MovingAverage(nets[generator])
        self.collapse = CollapseWatch()
        self.best = None

    def take_options(self, config) -> None:
        """Take from a run's options what is done to gradients, averages and the best net.

        Raises
        ------
        ValueError
            If the batch is not equal pieces for ``--accumulate``.
        """
        self.devices.check_pieces(config.accumulate)
        self._pieces, self._prepare = config.accumulate, before_update(config)
        self._skips = config.on_nan == "skip"
        self.average.decay = config.ema_decay
        self.best = BestNet(config.best) if config.best else None

    def measure(self, batch) -> dict[str, float]:
        """Compute the losses of samples that nothing is learned from, on this machine alone.

        Parameters
        ----------
        batch : tuple of ndarray of shape (N, ...)

        Returns
        -------
        dict of str to float
            Means over the samples: of every term, of their sum as ``total``, and of what the
            critics log.
        """
        share = tuple(mx.nd.array(array, ctx=self.devices.contexts[0]) for array in batch)
        terms, made = self._terms(*share)
        losses, accuracies = self._critic_terms(self._judged(share, made))
        total = {"total": sum(terms.values())}
        logged = {**terms, **total, **losses, **accuracies}
        return {name: float(value.mean().asscalar()) for name, value in logged.items()}

    def running_statistics(self) -> list:
        """Copy what nets learn in their forward passes: (array, copy) of each device."""
        return [
            (array, array.copy())
            for net in self.nets.values()
            for parameter in net.collect_params().values()
            if parameter.grad_req == "null"
            for array in parameter.list_data()
        ]

    def _split(self, batch):
        return self.devices.split(batch, self._pieces)

    def _update_average(self):
        if not self.refused:
            self.average.update()

    @property
    def learning_rate(self) -> float:
        """Step size of all trainers."""
        return next(iter(self.trainers.values())).learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        for trainer in self.trainers.values():
            trainer.set_learning_rate(value)

    def _descend(self, trainer, shares, terms_of):
        """Descend the sum of the terms, {name: (n,)}, that each device's share of the batch gives.

        Returns the mean of every term, {name: (1,)}, and the second results of `terms_of`, one of
        each share.
        """
        gradients = GradientSum(self.trainers[trainer]) if self._pieces > 1 else None
        at_once = len(shares) // self._pieces  # one of each device of this machine
        results = []
        for first in range(0, len(shares), at_once):
            with mx.autograd.record():
                piece = [terms_of(*share) for share in shares[first : first + at_once]]
                totals = [sum(terms.values()) for terms, _ in piece]
            # The gradient of a sum over samples; the trainer divides by the whole batch's size.
            mx.autograd.backward(totals)
            results += piece
            if gradients:
                gradients.add()
        if gradients:
            gradients.put()
        terms, others = zip(*results)
        is_wrong = self._skips and self._has_wrong(terms)
        if is_wrong or not self.devices.update(trainer, self.trainers[trainer], self._prepare):
            self.refused = True
        return self.devices.mean(trainer, terms), others

    def _has_wrong(self, terms):
        """Tell whether a term is not finite: its gradient may be finite all the same."""
        arrays = [array for share in terms for array in share.values()]
        return self.devices.any([not are_finite(arrays)])[0]

    def _terms(self, *share):
        """Return the generators' losses of a share, {name: (n,)}, and what `_judged` needs."""
        raise NotImplementedError

    def _judged(self, share, made):
        """Return what the critics judge of a share, {critic: (real, fake)}."""
        return {}

    def _train_critics(self, judged):
        """Update critics on each device's {critic: (real, fake)}; return losses and accuracies."""
        shares = [(pairs,) for pairs in judged]
        losses, accuracies = self._descend("critics", shares, self._critic_terms)
        return {**losses, **self.devices.mean("accuracy", accuracies)}

    def _critic_terms(self, pairs):
        results = {n: self.critics[n].discriminator_loss(*pair) for n, pair in pairs.items()}
        losses = {f"{name}_loss": loss for name, (loss, _) in results.items()}
        return losses, {f"{name}_accuracy": right for name, (_, right) in results.items()}


class SupervisedStep(Step):
    """Descend losses between a net's output and the labels of a sample: mostly one, the truth.

    Parameters
    ----------
    net : HybridBlock
    losses : dict of str to gluon.loss.Loss
        ``loss(pred, *labels)`` -> one value per sample.
    trainer : gluon.Trainer
    devices : Devices
    """

    def __init__(self, net, losses, trainer, devices):
        super().__init__({"net": net}, {"net": trainer}, "net", devices)
        self.net = net
        self.losses = losses

    def __call__(self, batch):
        log, _ = self._descend("net", self._split(batch), self._terms)
        self._update_average()
        return log

    def _terms(self, lr, *labels):
        sr = self.net(lr)
        return {name: loss(sr, *labels) for name, loss in self.losses.items()}, None


class AdversarialStep(Step):
    """One update of the generator, then one of the critics.

    Parameters
    ----------
    generator : HybridBlock
    critics : dict of str to Critic
    losses : dict of str to gluon.loss.Loss
        ``loss(pred, *labels)`` -> one value per sample.
    trainers : dict
        ``generator`` and ``critics``.
    devices : Devices
    real : int, default -1
        Index of the label that the critics take for real: the last, which is the truth.
    """

    def __init__(self, generator, critics, losses, trainers, devices, real=-1):
        nets = {"generator": generator, **{name: c.net for name, c in critics.items()}}
        super().__init__(nets, trainers, "generator", devices)
        self.generator = generator
        self.critics = critics
        self.losses = losses
        self.real = real

    def __call__(self, batch):
        shares = self._split(batch)
        log, outputs = self._descend("generator", shares, self._terms)
        self._update_average()
        # The critics judge what the generator made before this update: once is enough.
        judged = [self._judged(*pair) for pair in zip(shares, outputs)]
        spread = [{"spread": _relative_spread(sr, s[-1])} for s, sr in zip(shares, outputs)]
        log.update(self._train_critics(judged), **self.devices.mean("spread", spread))
        return log

    def _terms(self, lr, *labels):
        sr = self.generator(lr)
        terms = {name: loss(sr, *labels) for name, loss in self.losses.items()}
        real = labels[self.real]
        terms.update({name: c.generator_loss(real, sr) for name, c in self.critics.items()})
        return terms, sr.detach()

    def _judged(self, share, made):
        _, *labels = share
        return dict.fromkeys(self.critics, (labels[self.real], made))


class CycleStep(Step):
    """Learn from two unpaired sets: there with one generator, and back with the other.

    With critics of the first set too, both directions are learned alike, as in CycleGAN; without,
    the backward generator only has to restore what went forward, as in WESPE.

    Parameters
    ----------
    forward, backward : HybridBlock
        From the first set to the second, and back.
    critics, backward_critics : dict of str to Critic
        Of the second set, and of the first, which may be empty.
    cycle_losses : dict of str to gluon.loss.Loss
        Between an image that went there and back, and itself.
    image_losses : dict of str to gluon.loss.Loss
        Between a generator's output and its input.
    trainers : dict
        ``generators`` and ``critics``.
    devices : Devices
    balance : DynamicBalance or FixedRatio, optional
        Who learns in a step; default all. It is given the weighted adversarial losses of the
        generators alone, summed.
    """

    def __init__(
        self,
        forward,
        backward,
        critics,
        backward_critics,
        cycle_losses,
        image_losses,
        trainers,
        devices,
        balance=None,
    ):
        self.critics = {**critics, **backward_critics}
        nets = {"forward": forward, "backward": backward}
        nets.update({name: critic.net for name, critic in self.critics.items()})
        super().__init__(nets, trainers, "forward", devices)
        self.forward_critics, self.backward_critics = critics, backward_critics
        self.cycle_losses, self.image_losses = cycle_losses, image_losses
        self.balance = balance

    def __call__(self, batch):
        shares = self._split(batch)
        if self.balance is None or self.balance.generators_learn():
            log, judged = self._descend("generators", shares, self._terms)
            self._update_average()
        else:
            log, judged = {}, [self._make(*share) for share in shares]
        # The first critic is one of the second set: it has the forward generator's output.
        fakes = [next(iter(pairs.values()))[1] for pairs in judged]
        spread = [{"spread": _relative_spread(y, x)} for y, (x, _) in zip(fakes, shares)]
        log.update(self.devices.mean("spread", spread))
        if self.balance is None:
            return {**log, **self._train_critics(judged)}
        if self.refused:  # the balance shall not remember it
            return log
        adversarial = sum(float(log[name].asscalar()) for name in self.critics if name in log)
        learn = self.balance.critics_learn(adversarial)
        if learn:
            log.update(self._train_critics(judged))
            losses = [float(log[f"{name}_loss"].asscalar()) for name in self.critics]
            self.balance.note_critics(sum(losses) / len(losses))
        return {**log, "critics_learn": mx.nd.array([learn])}

    def _terms(self, first, second):
        there, back = self.nets["forward"], self.nets["backward"]
        terms, judged = self._direction("", there, back, first, second, self.forward_critics)
        if self.backward_critics:
            others = self._direction("backward_", back, there, second, first, self.backward_critics)
            terms.update(others[0])
            judged.update(others[1])
        return terms, judged

    def _judged(self, share, made):
        return made

    def _make(self, first, second):
        """Return what the critics judge, for a step in which the generators do not learn."""
        with mx.autograd.pause(train_mode=True):  # the statistics of a batch, as elsewhere
            result = self.nets["forward"](first)
            judged = dict.fromkeys(self.forward_critics, (second, result))
            if self.backward_critics:
                other = self.nets["backward"](second)
                judged.update(dict.fromkeys(self.backward_critics, (first, other)))
        return judged

    def _direction(self, prefix, there, back, images, others, critics):
        """Return the terms of one direction, {name: (n,)}, and {critic: (real, fake)} to judge."""
        result = there(images)
        restored = back(result) if self.cycle_losses else None
        terms = {name: loss(restored, images) for name, loss in self.cycle_losses.items()}
        terms.update({name: loss(result, images) for name, loss in self.image_losses.items()})
        terms = {f"{prefix}{name}": term for name, term in terms.items()}
        terms.update({name: c.generator_loss(others, result) for name, c in critics.items()})
        return terms, {name: (others, result.detach()) for name in critics}


def _relative_spread(images, others):
    """Compare the spreads: 1 for as many colors, near 0 for flat ones; finite for flat others."""
    return (_spread(images) + LEAST_SPREAD) / (_spread(others) + LEAST_SPREAD)


def _spread(images):
    """Mean deviation of the channels of (N, C, H, W) over the pixels: 0 for flat colors."""
    centered = mx.nd.broadcast_sub(images, images.mean(axis=(2, 3), keepdims=True))
    return mx.nd.sqrt(mx.nd.square(centered).mean(axis=(2, 3))).mean()


class MovingAverage:
    """Exponential moving average of a net's parameters, which scores higher than the last ones.

    Parameters
    ----------
    net : HybridBlock
        Initialized.
    decay : float
        Final decay. It grows up to this, so that the start is soon forgotten.

    Attributes
    ----------
    decay : float
    arrays : dict of str to NDArray
        The averages, by structural name.
    count : int
        Updates so far.
    """

    def __init__(self, net, decay: float = 0.999):
        self._net = net
        self.decay = decay
        self.restart()

    def restart(self) -> None:
        """Begin with the net's parameters as they are."""
        self.count = 0
        self.arrays = self.net_arrays()

    def update(self) -> None:
        """Take the net's parameters in, after an update of them."""
        self.count += 1
        # After n updates about the last n / 9 count, until the full decay is reached.
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        pairs = [(self.arrays[name], array) for name, array in net_arrays(self._net).items()]
        for k in range(0, len(pairs), AT_ONCE):
            _approach(pairs[k : k + AT_ONCE], 1 - decay)

    @contextmanager
    def applied(self):
        """Have the net hold the averages for a while."""
        current = self.net_arrays()
        self._set(self.arrays)
        try:
            yield
        finally:
            self._set(current)

    def net_arrays(self) -> dict:
        """Copy the net's parameters as they are, by structural name."""
        return {name: array.copy() for name, array in net_arrays(self._net).items()}

    def _set(self, arrays):
        for name, parameter in self._net._collect_params_with_prefix().items():
            parameter.set_data(arrays[name])


def _approach(pairs, fraction):
    """Move the first array of each pair towards the second, by a fraction of the way.

    That is SGD with the negative second array as gradient and a weight decay of 1: one operator
    for many arrays, where plain arithmetic would take three for each.
    """
    mx.nd.multi_sgd_update(
        *(array for pair in pairs for array in pair),
        out=[average for average, _ in pairs],
        num_weights=len(pairs),
        lrs=[fraction] * len(pairs),
        wds=[1] * len(pairs),
        rescale_grad=-1,
    )


def net_arrays(net) -> dict:
    """A net's arrays on its first context, by structural name."""
    return {name: p.list_data()[0] for name, p in net._collect_params_with_prefix().items()}
