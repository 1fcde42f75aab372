"""What `training.py` times: nets, their training steps, the peers' steps, and data sets."""

import importlib.util
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable

import numpy as np
import torch
import torch_steps as peers
import torch_twins as twins
from torch.nn import functional as F  # noqa: N812

from gluon_enhance import zoo
from gluon_enhance.data.degradations import JohnsonReduction, PhoneLook
from gluon_enhance.data.patches import PhotoPatches, SuperResolutionPatches, Unpaired
from gluon_enhance.exporting.pytorch import dped, plsr, srcnn, style
from gluon_enhance.framework import mx
from gluon_enhance.losses import FeatureLoss, L1Loss, VGGFeatures
from gluon_enhance.models.rrdbnet import RRDBNet
from gluon_enhance.models.srvgg import SRVGGNetCompact
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.precision import set_precision
from gluon_enhance.training.recipe import Run
from gluon_enhance.training.steps import SupervisedStep
from gluon_enhance.weights.vgg import load_vgg

SCRIPTS = Path(__file__).resolve().parents[1] / "train_scripts"
CRITIC_CHANNELS = 32
REDUCTIONS = (1.0, 0.75, 0.5)


@dataclass
class Case:
    """A net, its twin, the steps of both, the size of a batch, and the data set of the wait.

    `ours` takes case, net, files of VGG and precision; `theirs` takes case, twin and our step.
    """

    net: Callable
    twin: Callable
    ours: Callable
    theirs: Callable
    scale: int
    batch_size: int
    patch_size: int
    patches: Callable

    def batch(self):
        rng = np.random.default_rng(0)
        inputs, truths = self.shape(1), self.shape(self.scale)
        return rng.random(inputs, np.float32), rng.random(truths, np.float32)

    def shape(self, scale):
        return self.batch_size, 3, self.patch_size * scale, self.patch_size * scale


class StyleCase(Case):
    """There are no truths."""

    def batch(self):
        return super().batch()[:1]


# Our steps


def pixel_step(case, net, vgg, precision):
    net.initialize(mx.init.Xavier(magnitude=1))
    set_precision(precision, net)
    return supervised(case, net, {"pixel": L1Loss()})


def plsr_step(case, net, vgg, precision):
    net.initialize(mx.init.Xavier())
    features = load_vgg(VGGFeatures(16, "relu2_2"), vgg[16])
    features.hybridize(static_alloc=True)
    set_precision(precision, net, features)
    return supervised(case, net, {"features": FeatureLoss(features)})


def supervised(case, net, losses):
    devices = Devices("cpu", case.batch_size)
    trainer = devices.trainer([net], peers.LEARNING_RATE)
    return SupervisedStep(net, losses, trainer, devices)


def of_script(name, function="make_step", depth=19, **options):
    """Make `ours` of a function of a training script."""

    def ours(case, net, vgg, precision):
        script = load_script(name)
        sizes = {"batch_size": case.batch_size, "patch_size": case.patch_size}
        config = script.Config(**sizes, precision=precision, vgg=str(vgg[depth]), **options)
        return getattr(script, function)(Run(config, net, Devices("cpu", case.batch_size)))

    return ours


def style_step(case, net, vgg, precision):
    script, devices = load_script("style"), Devices("cpu", case.batch_size)
    net.initialize_as_identity(np.random.default_rng(0))
    set_precision(precision, net)
    options = {"batch_size": case.batch_size, "learning_rate": peers.LEARNING_RATE}
    config = script.Config(**options, precision=precision, vgg=str(vgg[16]))
    picture = mx.nd.array(np.ascontiguousarray(case.batch()[0][:1]))
    return script.make_step(Run(config, net, devices), picture)


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"train_{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# PyTorch's


def torch_pixel_step(case, twin, step):
    return peers.supervised(twin, F.l1_loss)


def torch_plsr_step(case, twin, step):
    return peers.supervised(twin, peers.feature_loss(peers.VGG(16, ("relu2_2",)), 1.0))


def torch_esrgan_step(case, twin, step):
    losses = [
        lambda sr, hr: 1e-2 * F.l1_loss(sr, hr),
        peers.feature_loss(peers.VGG(19, ("conv5_4",)), 1.0, F.l1_loss),
    ]
    critic = twins.VGG128(case.patch_size * case.scale, CRITIC_CHANNELS)
    return peers.adversarial(twin, losses, [peers.Critic(critic, "relativistic", 5e-3)])


def torch_srgan_step(case, twin, step):
    losses = [peers.feature_loss(peers.VGG(19, ("relu5_4",)), 1 / 12.75**2)]
    critic = peers.SRGANDiscriminator(case.patch_size * case.scale, CRITIC_CHANNELS)
    return peers.adversarial(twin, losses, [peers.Critic(critic, "standard", 1e-3)])


def torch_dped_step(case, twin, step):
    losses = [
        peers.feature_loss(peers.VGG(19, ("relu5_4",), ceil=True), 10.0),
        peers.color_loss(0.5),
        peers.variation_loss(2000.0),
    ]
    critic = peers.DPEDDiscriminator(1, 2, case.patch_size)
    return peers.adversarial(twin, losses, [peers.Critic(critic, "saturating", 50.0, peers.gray)])


def torch_cycle_step(case, twin, step):
    backward = twins.load_twin(dped.DPEDResNet(), twins.arrays_of(step.nets["backward"]))
    critics = [
        peers.Critic(peers.DPEDDiscriminator(1, 2, case.patch_size), "saturating", 1.0, peers.gray)
        for _ in range(2)
    ]
    return peers.cycle(twin, backward, [peers.cycle_loss(0.01)], [], critics[:1], critics[1:])


def torch_wespe_step(case, twin, step):
    backward = twins.load_twin(dped.DPEDResNet(), twins.arrays_of(step.nets["backward"]))
    content = peers.feature_loss(peers.VGG(19, ("relu5_4",), ceil=True), 1.0)
    critics = [
        peers.Critic(peers.DPEDDiscriminator(channels, 1, case.patch_size), "standard", 5e-3, view)
        for channels, view in ((3, peers.blur), (1, peers.gray))
    ]
    variation = peers.variation_loss(10.0, mean=False)
    return peers.cycle(twin, backward, [content], [variation], critics)


def torch_style_step(case, twin, step):
    layers = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
    weights = 1.0, 5.0, 4e-6 * 255**2
    picture = torch.from_numpy(case.batch()[0][:1])
    return peers.style(twin, picture, layers, "relu3_3", weights)


# Data


def enlarged(case, photos, degrade=None):
    return SuperResolutionPatches(photos, case.scale, case.patch_size, REDUCTIONS, degrade)


def blurred(case, photos):
    return enlarged(case, photos, JohnsonReduction(case.scale))


def of_phone(case, photos):
    return PhotoPatches(photos, case.patch_size, PhoneLook())


def of_two(case, photos):
    return Unpaired(*[of_phone(case, photos)] * 2)


def alone(case, photos):
    return PhotoPatches(photos, case.patch_size, reductions=(0.5, 0.25))


def model(name, **options):
    return partial(zoo.get_model, name, **options)


def lite_twin():
    return twins.RRDBNet(num_blocks=4, channels=32, growth=16)


def style_twin():
    return style.StyleNet(16, norm="instance")


PIXEL = (pixel_step, torch_pixel_step)
CASES = {
    "RRDB-4": Case(
        partial(RRDBNet, 4, num_blocks=4), partial(twins.RRDBNet, 4), *PIXEL, 4, 4, 32, enlarged
    ),
    "rrdb_lite": Case(model("rrdb_lite_x4"), lite_twin, *PIXEL, 4, 8, 32, enlarged),
    "SRCNN": Case(model("srcnn_x4"), srcnn.SRCNN, *PIXEL, 4, 16, 32, enlarged),
    "SRResNet": Case(model("srresnet_x4"), twins.SRResNet, *PIXEL, 4, 4, 24, enlarged),
    "EDSR": Case(model("edsr_baseline_x2"), twins.EDSR, *PIXEL, 2, 4, 48, enlarged),
    "SRVGG": Case(partial(SRVGGNetCompact, 4), twins.SRVGGNetCompact, *PIXEL, 4, 4, 48, enlarged),
    "ESRGAN": Case(
        model("esrgan_lite_x4"),
        lite_twin,
        of_script(
            "esrgan", "make_gan_step", model="esrgan_lite_x4", critic_channels=CRITIC_CHANNELS
        ),
        torch_esrgan_step,
        *(4, 4, 32, enlarged),
    ),
    "SRGAN": Case(
        model("srgan_x4"),
        twins.SRResNet,
        of_script("srgan", critic_channels=CRITIC_CHANNELS),
        torch_srgan_step,
        *(4, 4, 24, enlarged),
    ),
    "PLSR": Case(model("plsr_x4"), plsr.JohnsonSR, plsr_step, torch_plsr_step, 4, 2, 72, blurred),
    "style": StyleCase(
        model("style_starry_night"), style_twin, style_step, torch_style_step, 1, 1, 256, alone
    ),
    "DPED": Case(
        model("dped_resnet"),
        dped.DPEDResNet,
        of_script("dped"),
        torch_dped_step,
        *(1, 4, 100, of_phone),
    ),
    "DPED cycle": Case(
        model("dped_cycle"),
        dped.DPEDResNet,
        of_script("dped_cycle"),
        torch_cycle_step,
        *(1, 4, 100, of_two),
    ),
    "WESPE": Case(
        model("wespe"), dped.DPEDResNet, of_script("wespe"), torch_wespe_step, 1, 4, 100, of_two
    ),
}
