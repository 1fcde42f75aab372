"""What is done with one batch: a step is called with a batch and returns what to log.

Losses are given by name, ``{"pixel": L1Loss(weight=1e-2), ...}``; what is logged is the weighted
value, so that the parts of a sum can be compared.
"""

from __future__ import annotations

from typing import Callable

from gluon_enhance.forms import FAST, set_form
from gluon_enhance.framework import mx
from gluon_enhance.models.layers.norms import fuse_norms
from gluon_enhance.training.average import MovingAverage
from gluon_enhance.training.best import Best
from gluon_enhance.training.gan_monitor import CollapseWatch
from gluon_enhance.training.gradients import GradientSum, are_finite, before_update

LEAST_SPREAD = 1e-3
"""A quarter of an 8-bit level: what flat patches are taken to vary by."""


class Critic:
    """A discriminator with what it looks at and the loss it plays.

    Parameters
    ----------
    net : HybridBlock
        Gives one logit for each image, or two whose difference counts.
    adversarial : object
        One of `gluon_enhance.losses.adversarial`.
    weight : float
        Of the generator's adversarial loss.
    view : callable, optional
        What it sees of images (N, 3, H, W): a blur, the gray, or by default all.
    """

    def __init__(self, net, adversarial, weight: float, view: Callable = lambda images: images):
        self.net = net
        self.adversarial = adversarial
        self.weight = weight
        self.view = view

    def logits(self, images):
        """Judge images: (N, 3, H, W) -> (N, 1), high for real ones."""
        out = self.net(self.view(images))
        return out if out.shape[1] == 1 else out[:, :1] - out[:, 1:]

    def generator_loss(self, real, fake):
        """Weigh the loss that `fake` (N, 3, H, W) makes its generator; (N,)."""
        with mx.autograd.pause(train_mode=True):
            real_logits = self.logits(real) if self.adversarial.relativistic else None
        return self.weight * self.adversarial.generator(real_logits, self.logits(fake))

    def discriminator_loss(self, real, fake):
        """Return the loss (N,), and the share of the images that were told right."""
        real_logits, fake_logits = self.logits(real), self.logits(fake)
        loss = self.adversarial.discriminator(real_logits, fake_logits)
        with mx.autograd.pause():
            above = real_logits, fake_logits
            if self.adversarial.relativistic:
                above = real_logits - fake_logits.mean(), fake_logits - real_logits.mean()
            accuracy = 0.5 * ((above[0] > 0).mean() + (above[1] < 0).mean())
        return loss, accuracy


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
    ema_decay : float
        Of the moving average.
    """

    balance = None

    #: Steps left out so far because a number in them was not finite, and whether this one is.
    skipped, refused = 0, False

    _prepare, _skips, _pieces = None, False, 1

    def __init__(self, nets, trainers, generator, devices, ema_decay):
        for net in nets.values():
            set_form(net, FAST)
            fuse_norms(net)
        self.nets = nets
        self.trainers = trainers
        self.devices = devices
        self.average = MovingAverage(nets[generator], ema_decay)
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
        self.best = Best(config.best) if config.best else None

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

    def _descend(self, trainer, parts, terms_of):
        """Descend the sum of the terms, {name: (N,)}, that each part of the batch gives.

        Returns the mean of every term, and the parts' second results.
        """
        gradients = GradientSum(self.trainers[trainer]) if self._pieces > 1 else None
        at_once = len(parts) // self._pieces
        results = []
        for first in range(0, len(parts), at_once):
            with mx.autograd.record():
                piece = [terms_of(*part) for part in parts[first : first + at_once]]
                totals = [sum(terms.values()) for terms, _ in piece]
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
        arrays = [array for part in terms for array in part.values()]
        return self.devices.any([not are_finite(arrays)])[0]

    def _train_critics(self, critics, judged):
        """Update critics on each device's {critic: (real, fake)}; return losses and accuracies."""

        def terms(pairs):
            results = {
                name: critics[name].discriminator_loss(*pair) for name, pair in pairs.items()
            }
            losses = {f"{name}_loss": loss for name, (loss, _) in results.items()}
            return losses, {f"{name}_accuracy": share for name, (_, share) in results.items()}

        losses, shares = self._descend("critics", [(pairs,) for pairs in judged], terms)
        return {**losses, **self.devices.mean("accuracy", shares)}


class SupervisedStep(Step):
    """Descend losses between a net's output and the labels of a sample: mostly one, the truth.

    Parameters
    ----------
    net : HybridBlock
    losses : dict of str to gluon.loss.Loss
        ``loss(pred, *labels)`` -> one value per sample.
    trainer : gluon.Trainer
    devices : Devices
    ema_decay : float
    """

    def __init__(self, net, losses, trainer, devices, ema_decay=0.999):
        super().__init__({"net": net}, {"net": trainer}, "net", devices, ema_decay)
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
        ``loss(pred, *labels)`` -> one value per sample; the critics take the last label for real.
    trainers : dict
        ``generator`` and ``critics``.
    devices : Devices
    ema_decay : float
    """

    def __init__(self, generator, critics, losses, trainers, devices, ema_decay=0.999):
        nets = {"generator": generator, **{name: c.net for name, c in critics.items()}}
        super().__init__(nets, trainers, "generator", devices, ema_decay)
        self.generator = generator
        self.critics = critics
        self.losses = losses

    def __call__(self, batch):
        parts = self._split(batch)
        log, outputs = self._descend("generator", parts, self._terms)
        self._update_average()
        pairs = [(part[-1], sr) for part, sr in zip(parts, outputs)]
        judged = [dict.fromkeys(self.critics, pair) for pair in pairs]
        spread = [{"spread": _relative_spread(sr, hr)} for hr, sr in pairs]
        log.update(self._train_critics(self.critics, judged), **self.devices.mean("spread", spread))
        return log

    def _terms(self, lr, *labels):
        sr = self.generator(lr)
        terms = {name: loss(sr, *labels) for name, loss in self.losses.items()}
        terms.update({name: c.generator_loss(labels[-1], sr) for name, c in self.critics.items()})
        return terms, sr.detach()


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
    balance : DynamicBalance, optional
        Whether the critics learn in a step; default always. It is given the weighted adversarial
        losses of the generators alone, summed.
    ema_decay : float
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
        ema_decay=0.999,
    ):
        self.critics = {**critics, **backward_critics}
        nets = {"forward": forward, "backward": backward}
        nets.update({name: critic.net for name, critic in self.critics.items()})
        super().__init__(nets, trainers, "forward", devices, ema_decay)
        self.forward_critics, self.backward_critics = critics, backward_critics
        self.cycle_losses, self.image_losses = cycle_losses, image_losses
        self.balance = balance

    def __call__(self, batch):
        parts = self._split(batch)
        log, judged = self._descend("generators", parts, self._terms)
        adversarial = sum(log[name] for name in self.critics)
        self._update_average()
        fakes = [next(iter(pairs.values()))[1] for pairs in judged]
        spread = [{"spread": _relative_spread(y, x)} for y, (x, _) in zip(fakes, parts)]
        log.update(self.devices.mean("spread", spread))
        if self.balance is None:
            return {**log, **self._train_critics(self.critics, judged)}
        if self.refused:  # the balance shall not remember it
            return log
        learn = self.balance.critics_learn(float(adversarial.asscalar()))
        if learn:
            log.update(self._train_critics(self.critics, judged))
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

    def _direction(self, prefix, there, back, images, others, critics):
        """Return the terms of one direction, and what its critics shall judge."""
        result = there(images)
        restored = back(result)
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
