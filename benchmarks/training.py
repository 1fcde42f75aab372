"""Time training steps against PyTorch eager, in one run, and the wait for data.

    python benchmarks/training.py [CASE...] [--repeats 5] [--data PHOTOS]

A step is forward, losses, backward, Adam, the moving average of the weights, and reading the
losses. Both sides have the same weights and batch, and their outputs are compared first. They
take turns, so that a change of the machine's pace meets both; the best of the repeats counts.
Leave the machine otherwise idle.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import cv2
import numpy as np
import torch
import torch_twins as twins
from torch.nn import functional as F  # noqa: N812

from gluon_enhance.data.folders import find_images
from gluon_enhance.data.patches import SuperResolutionPatches
from gluon_enhance.framework import mx, physical_cores
from gluon_enhance.losses import FeatureLoss, L1Loss, RelativisticAverageAdversarial, VGGFeatures
from gluon_enhance.models.discriminators import VGG128
from gluon_enhance.models.dped import DPEDResNet
from gluon_enhance.models.edsr import EDSR
from gluon_enhance.models.rrdbnet import RRDBNet
from gluon_enhance.models.srresnet import SRResNet
from gluon_enhance.models.srvgg import SRVGGNetCompact
from gluon_enhance.training.batches import batches
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.steps import AdversarialStep, Critic, SupervisedStep

LEARNING_RATE = 1e-4
EMA_DECAY = 0.999
CRITIC_CHANNELS = 32
WEIGHTS = {"pixel": 1e-2, "features": 1.0, "critic": 5e-3}


@dataclass
class Case:
    """A net, its twin, and the batch of a step."""

    net: Callable
    twin: Callable
    scale: int
    batch_size: int
    patch_size: int
    adversarial: bool = False

    def batch(self):
        rng = np.random.default_rng(0)
        shape, side = (self.batch_size, 3), self.patch_size
        lr = rng.random((*shape, side, side), np.float32)
        return lr, rng.random((*shape, side * self.scale, side * self.scale), np.float32)


def _lite():
    return RRDBNet(4, num_blocks=4, channels=32, growth_channels=16)


def _lite_twin():
    return twins.RRDBNet(num_blocks=4, channels=32, growth=16)


CASES = {
    "RRDB-4": Case(lambda: RRDBNet(4, num_blocks=4), lambda: twins.RRDBNet(4), 4, 4, 32),
    "rrdb_lite": Case(_lite, _lite_twin, 4, 8, 32),
    "SRResNet": Case(lambda: SRResNet(4), twins.SRResNet, 4, 4, 24),
    "EDSR": Case(lambda: EDSR(2), twins.EDSR, 2, 4, 48),
    "SRVGG": Case(lambda: SRVGGNetCompact(4), twins.SRVGGNetCompact, 4, 4, 32),
    "DPED": Case(DPEDResNet, twins.DPEDResNet, 1, 4, 64),
    "ESRGAN": Case(_lite, _lite_twin, 4, 4, 32, adversarial=True),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", help="folder of photos for the wait; default: generated ones")
    options = parser.parse_args()
    torch.set_num_threads(physical_cores())
    print(f"{physical_cores()} cores, best of {options.repeats}\n")
    print(f"{'':12}{'batch':>12}{'MXNet':>10}{'PyTorch':>10}{'ratio':>8}")
    for name in options.cases or CASES:
        compare(name, CASES[name], options.repeats)
    with tempfile.TemporaryDirectory() as folder:
        report_waiting(options.data or write_photos(Path(folder)), 10 * options.repeats)


def compare(name, case, repeats):
    net = initialized(case.net())
    twin = twins.load_twin(case.twin(), net)
    check(name, net, twin, case.batch()[0])
    steps = make_step(net, case), make_torch_step(twin, case)
    best = [float("inf")] * 2
    for repeat in range(repeats + 1):  # the first one compiles
        for k, step in enumerate(steps):
            began = time.perf_counter()
            step(case.batch())
            if repeat:
                best[k] = min(best[k], time.perf_counter() - began)
    size = f"{case.batch_size}x{case.patch_size}x{case.patch_size}"
    ratio = best[1] / best[0]
    print(f"{name:12}{size:>12}{best[0]:8.3f} s{best[1]:8.3f} s{ratio:7.2f}x", flush=True)


def initialized(net):
    mx.random.seed(0)
    net.initialize(mx.init.Xavier(magnitude=1))
    net.hybridize(static_alloc=True)
    return net


def check(name, net, twin, lr):
    ours = net(mx.nd.array(lr)).asnumpy()
    theirs = twin.eval()(torch.from_numpy(lr)).detach().numpy()
    twin.train()
    if np.abs(ours - theirs).max() > 1e-4:
        raise ValueError(f"{name} and its twin differ by {np.abs(ours - theirs).max()}")


def make_step(net, case):
    devices = Devices("cpu", case.batch_size)
    trainer = devices.trainer([net], LEARNING_RATE)
    if case.adversarial:
        step = make_adversarial_step(net, trainer, case, devices)
    else:
        step = SupervisedStep(net, {"pixel": L1Loss()}, trainer, devices, EMA_DECAY)

    def run(batch):
        values = {name: value.asscalar() for name, value in step(batch).items()}
        mx.nd.waitall()
        return values

    return run


def make_adversarial_step(net, trainer, case, devices):
    features = initialized(VGGFeatures(19, ("conv5_4",)))
    critic_net = initialized(VGG128(case.patch_size * case.scale, CRITIC_CHANNELS))
    critic = Critic(critic_net, RelativisticAverageAdversarial(), WEIGHTS["critic"])
    image_losses = {
        "pixel": L1Loss(weight=WEIGHTS["pixel"]),
        "features": FeatureLoss(features, "l1", weight=WEIGHTS["features"]),
    }
    trainers = {"generator": trainer, "critics": devices.trainer([critic_net], LEARNING_RATE)}
    return AdversarialStep(net, {"critic": critic}, image_losses, trainers, devices, EMA_DECAY)


def make_torch_step(net, case):
    optimizer = torch.optim.Adam(net.parameters(), LEARNING_RATE)
    average = {name: value.detach().clone() for name, value in net.state_dict().items()}
    descend = make_torch_gan(net, optimizer, case) if case.adversarial else None

    def run(batch):
        lr, hr = (torch.from_numpy(array) for array in batch)
        if descend:
            values = descend(lr, hr)
        else:
            optimizer.zero_grad()
            loss = F.l1_loss(net(lr), hr)
            loss.backward()
            optimizer.step()
            values = [loss.item()]
        with torch.no_grad():
            for name, value in net.state_dict().items():
                if value.is_floating_point():
                    average[name].mul_(EMA_DECAY).add_(value, alpha=1 - EMA_DECAY)
        return values

    return run


def make_torch_gan(net, optimizer, case):
    features = twins.VGG19()
    for parameter in features.parameters():
        torch.nn.init.normal_(parameter, 0, 0.05)
    torch.nn.init.ones_(features.std)
    critic = twins.VGG128(case.patch_size * case.scale, CRITIC_CHANNELS)
    critic_optimizer = torch.optim.Adam(critic.parameters(), LEARNING_RATE)
    parameters = list(critic.parameters())

    def relativistic(logits, others, target):
        logits = logits - others.mean()
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target)) / 2

    def descend(lr, hr):
        for parameter in parameters:
            parameter.requires_grad_(False)
        optimizer.zero_grad()
        sr = net(lr)
        real, fake = critic(hr).detach(), critic(sr)
        terms = [
            WEIGHTS["pixel"] * F.l1_loss(sr, hr),
            WEIGHTS["features"] * F.l1_loss(features(sr), features(hr)),
            WEIGHTS["critic"] * (relativistic(real, fake, 0.0) + relativistic(fake, real, 1.0)),
        ]
        sum(terms).backward()
        optimizer.step()
        for parameter in parameters:
            parameter.requires_grad_(True)
        critic_optimizer.zero_grad()
        real, fake = critic(hr), critic(sr.detach())
        loss = relativistic(real, fake.detach(), 1.0) + relativistic(fake, real.detach(), 0.0)
        loss.backward()
        critic_optimizer.step()
        return [term.item() for term in (*terms, loss)]

    return descend


def report_waiting(folder, steps):
    """Print which share of the time a training of rrdb_lite waits for its patches."""
    case = CASES["rrdb_lite"]
    patches = SuperResolutionPatches(
        find_images(folder), case.scale, case.patch_size, reductions=(1.0, 0.75, 0.5)
    )
    step = make_step(initialized(case.net()), case)
    source = batches(patches.draw, case.batch_size, 0, 0, steps)
    waited, began = 0.0, time.perf_counter()
    for _ in range(steps):
        asked = time.perf_counter()
        batch = next(source)
        waited += time.perf_counter() - asked
        step(batch)
    share = waited / (time.perf_counter() - began)
    print(f"\nrrdb_lite waits for patches {share:.1%} of {steps} steps, photos unread at first")


def write_photos(folder):
    """Write eight photo-like pictures: smooth noise with some grain."""
    rng = np.random.default_rng(0)
    for index in range(8):
        coarse = rng.integers(0, 256, (15, 20, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (1200, 900), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        image += rng.integers(-4, 5, image.shape, dtype=np.int16)
        cv2.imwrite(str(folder / f"{index}.jpg"), np.clip(image, 0, 255).astype(np.uint8))
    return folder


if __name__ == "__main__":
    main()
