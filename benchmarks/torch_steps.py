"""Training steps in PyTorch, the peers of the training scripts', and the critics of these.

Losses and weights are those of the scripts; discriminators and VGG have random weights on either
side.
"""

from contextlib import nullcontext

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch_twins import conv

from gluon_enhance.losses.pixel import GRAY, blur_kernel

LEARNING_RATE = 1e-4
EMA_DECAY = 0.999


class Tuning:
    """How PyTorch is asked to compute: as it comes (eager), or as fast as its manual tells."""

    def __init__(self):
        self.channels_last = self.compiled = self.bf16 = False

    def net(self, module):
        """Prepare a net; all calls go through what is returned."""
        if self.channels_last:
            module = module.to(memory_format=torch.channels_last)
        return torch.compile(module) if self.compiled else module

    def images(self, batch):
        tensors = map(torch.from_numpy, batch)
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return [tensor.contiguous(memory_format=layout) for tensor in tensors]

    def computing(self):
        return torch.autocast("cpu", torch.bfloat16) if self.bf16 else nullcontext()


TUNING = Tuning()
"""Of this process; set before steps are made."""


class TorchStep:
    """One update of the generators and one of the critics, and the moving average of the first.

    `terms_of` takes the batch and returns the generators' terms and, for each critic, what it
    shall judge: (critic, real, fake). Sums of losses stay in fp32, as autocast has them.
    """

    def __init__(self, generators, terms_of, critics=()):
        self.terms_of = terms_of
        self.critics = [p for critic in critics for p in critic.net.parameters()]
        learned = [p for net in generators for p in net.parameters()]
        self.optimizers = [torch.optim.Adam(p, LEARNING_RATE) for p in (learned, self.critics) if p]
        self.net = generators[0]
        self.average = {k: v.detach().clone() for k, v in self.net.state_dict().items()}

    def __call__(self, batch):
        for parameter in self.critics:
            parameter.requires_grad_(False)
        with TUNING.computing():
            terms, judged = self.terms_of(*TUNING.images(batch))
        values = self._descend(self.optimizers[0], terms)
        with torch.no_grad():
            for name, value in self.net.state_dict().items():
                if value.is_floating_point():
                    self.average[name].mul_(EMA_DECAY).add_(value, alpha=1 - EMA_DECAY)
        if not judged:
            return values
        for parameter in self.critics:
            parameter.requires_grad_(True)
        with TUNING.computing():
            losses = [critic.loss(real, fake.detach()) for critic, real, fake in judged]
        return values + self._descend(self.optimizers[1], losses)

    @staticmethod
    def _descend(optimizer, terms):
        optimizer.zero_grad()
        sum(terms).backward()
        optimizer.step()
        return [term.item() for term in terms]


class Critic:
    """A discriminator: what it sees, and which adversarial loss of what weight it plays."""

    def __init__(self, net, kind, weight, view=lambda images: images):
        self.net = TUNING.net(net)
        self.kind = kind
        self.weight = weight
        self.view = view

    def logits(self, images):
        out = self.net(self.view(images))
        return out if out.shape[1] == 1 else out[:, :1] - out[:, 1:]

    def generator_loss(self, real, fake):
        fake = self.logits(fake)
        if self.kind == "relativistic":
            real = self.logits(real).detach()
            terms = F.softplus(real - fake.mean()), F.softplus(real.mean() - fake)
            return self.weight * 0.5 * (terms[0].mean() + terms[1].mean())
        loss = -F.softplus(fake) if self.kind == "saturating" else F.softplus(-fake)
        return self.weight * loss.mean()

    def loss(self, real, fake):
        real, fake = self.logits(real), self.logits(fake)
        if self.kind == "relativistic":
            real, fake = real - fake.mean().detach(), fake - real.mean().detach()
        loss = F.softplus(-real).mean() + F.softplus(fake).mean()
        return 0.5 * loss if self.kind == "relativistic" else loss


def supervised(net, loss):
    net = TUNING.net(net)
    return TorchStep([net], lambda lr, hr: ([loss(net(lr), hr)], []))


def adversarial(net, losses, critics):
    """Make the step of AdversarialStep: losses of output and truth, and critics of both."""
    net = TUNING.net(net)

    def terms_of(lr, hr):
        sr = net(lr)
        terms = [loss(sr, hr) for loss in losses]
        terms += [critic.generator_loss(hr, sr) for critic in critics]
        return terms, [(critic, hr, sr) for critic in critics]

    return TorchStep([net], terms_of, critics)


def cycle(forward, backward, cycle_losses, image_losses, critics, backward_critics=()):
    """Make the step of CycleStep: there and back from the first set, and from the second too."""
    forward, backward = TUNING.net(forward), TUNING.net(backward)

    def direction(there, back, images, others, judges):
        result = there(images)
        restored = back(result)
        terms = [loss(restored, images) for loss in cycle_losses]
        terms += [loss(result, images) for loss in image_losses]
        terms += [critic.generator_loss(others, result) for critic in judges]
        return terms, [(critic, others, result) for critic in judges]

    def terms_of(first, second):
        terms, judged = direction(forward, backward, first, second, critics)
        if backward_critics:
            others = direction(backward, forward, second, first, backward_critics)
            terms, judged = terms + others[0], judged + others[1]
        return terms, judged

    return TorchStep([forward, backward], terms_of, (*critics, *backward_critics))


def style(net, picture, layers, content_layer, weights):
    """Make the step of train_style.py; `picture` is (1, 3, H, W)."""
    net = TUNING.net(net)
    features = TUNING.net(VGG(16, (*layers, content_layer)))
    content_of = TUNING.net(VGG(16, (content_layer,)))
    with torch.no_grad():
        grams = [gram(maps) for maps in features(picture)[:-1]]
    content_weight, style_weight, variation_weight = weights

    def terms_of(photos):
        with torch.no_grad():
            (content,) = content_of(photos)
        output = net(photos)
        *maps, own = features(output)
        down, right = output.diff(dim=2)[..., :-1], output.diff(dim=3)[:, :, :-1]
        terms = [
            content_weight * F.mse_loss(own, content),
            style_weight * sum(((gram(m) - g) ** 2).mean() for m, g in zip(maps, grams)),
            variation_weight * 0.5 * (down**2 + right**2).sum() / len(photos),
        ]
        return terms, []

    return TorchStep([net], terms_of)


def gram(features):
    rows = features.flatten(2)
    return rows @ rows.transpose(1, 2) / (rows.shape[1] * rows.shape[2])


def feature_loss(features, weight, distance=F.mse_loss):
    features = TUNING.net(features)
    return lambda pred, label: weight * distance(features(pred)[0], features(label)[0])


def variation_loss(weight, mean=True):
    """DPED's means of both directions; or WESPE's sums over the number of values."""

    def loss(pred, label):
        down, right = pred.diff(dim=2) ** 2, pred.diff(dim=3) ** 2
        total = down.mean() + right.mean() if mean else (down.sum() + right.sum()) / pred.numel()
        return weight * total

    return loss


@torch.autocast("cpu", enabled=False)  # in bfloat16 it takes minutes
def blur(images):
    images = images.float()
    kernel = torch.from_numpy(blur_kernel().astype(np.float32)).repeat(3, 1)
    images = F.conv2d(images, kernel.reshape(3, 1, 21, 1), padding=(10, 0), groups=3)
    return F.conv2d(images, kernel.reshape(3, 1, 1, 21), padding=(0, 10), groups=3)


def color_loss(weight):
    return lambda pred, label: weight * 0.5 * (blur(pred - label) ** 2).sum() / len(pred)


def gray(images):
    return F.conv2d(images, torch.tensor(GRAY).reshape(1, 3, 1, 1))


def cycle_loss(weight):
    return lambda pred, label: weight * (pred - label).abs().sum() / len(pred)


class VGG(nn.Module):
    """Maps of some layers, in the order of the layers, from random weights."""

    def __init__(self, depth, layers, ceil=False):
        super().__init__()
        counts = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}[depth]
        self.steps, in_channels = {}, 3
        for block, (channels, count) in enumerate(zip((64, 128, 256, 512, 512), counts), 1):
            for k in range(1, count + 1):
                self.steps[f"conv{block}_{k}"] = conv(in_channels, channels)
                self.steps[f"relu{block}_{k}"] = nn.ReLU()
                in_channels = channels
            self.steps[f"pool{block}"] = nn.MaxPool2d(2, ceil_mode=ceil)
        self.layers = layers
        self.last = max(list(self.steps).index(name) for name in layers)
        for step in self.steps.values():
            for parameter in step.parameters():
                nn.init.normal_(parameter, 0, 0.05).requires_grad_(False)
        self.mean = torch.tensor((0.485, 0.456, 0.406)).reshape(1, 3, 1, 1)
        self.std = torch.tensor((0.229, 0.224, 0.225)).reshape(1, 3, 1, 1)

    def forward(self, x):
        x, maps = (x - self.mean) / self.std, {}
        for name in list(self.steps)[: self.last + 1]:
            x = maps[name] = self.steps[name](x)
        return [maps[name] for name in self.layers]


class SRGANDiscriminator(nn.Sequential):
    def __init__(self, patch_size, channels):
        layers, in_channels = [], 3
        for width in (channels * factor for factor in (1, 2, 4, 8)):
            for strides in (1, 2):
                first = not layers
                layers.append(nn.Conv2d(in_channels, width, 3, strides, padding=1, bias=first))
                layers += [] if first else [nn.BatchNorm2d(width)]
                layers.append(nn.LeakyReLU(0.2))
                in_channels = width
        units = in_channels * (patch_size // 16) ** 2
        dense = nn.Linear(units, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, 1)
        super().__init__(*layers, nn.Flatten(), *dense)


class DPEDDiscriminator(nn.Sequential):
    """With TensorFlow's 'SAME' padding and instance norms."""

    def __init__(self, in_channels, classes, patch_size):
        layers, size = [], patch_size
        for k, (channels, kernel_size, strides) in enumerate(
            ((48, 11, 4), (128, 5, 2), (192, 3, 1), (192, 3, 1), (128, 3, 2))
        ):
            out_size = -(-size // strides)
            padding = max((out_size - 1) * strides + kernel_size - size, 0)
            before, after = padding // 2, padding - padding // 2
            layers.append(nn.ZeroPad2d((before, after, before, after)))
            layers += [nn.Conv2d(in_channels, channels, kernel_size, strides), nn.LeakyReLU(0.2)]
            layers += [nn.InstanceNorm2d(channels, eps=1e-3, affine=True)] if k else []
            in_channels, size = channels, out_size
        dense = nn.Linear(in_channels * size**2, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, classes)
        super().__init__(*layers, nn.Flatten(), *dense)
