r"""Train an EDSR [1]_ on photos.

    python train_scripts/train_edsr.py --data PHOTOS --out runs/edsr_lite_x2 --model edsr_lite_x2 \
        --batch-size 8 --learning-rate 1e-3 --iterations 8000
    python train_scripts/train_edsr.py --data PHOTOS --out runs/edsr_baseline_x4 \
        --model edsr_baseline_x4 --init edsr_baseline_x2=runs/edsr_baseline_x2.params

The loss is L1. The nets for x3 and x4 start from a trained one for x2, as the paper's do (--init
MODEL=FILE, or a model with weights): what does not fit starts as an interpolator, and so does all
without. With --degrade realistic the inputs get the noise and the blur of the photos in --data.
Interrupt it at will and go on with --resume.

References
----------
.. [1] Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution",
   CVPR Workshops 2017. https://arxiv.org/abs/1707.02921
"""

from dataclasses import dataclass
from functools import partial

from gluon_enhance import zoo
from gluon_enhance.losses import L1Loss
from gluon_enhance.training import recipe
from gluon_enhance.training.config import option, parse_config, run_script
from gluon_enhance.weights.store import given


@dataclass
class Config(recipe.EnlargingConfig):
    model: str = option("edsr_baseline_x2", "a net of the zoo that enlarges")
    # The paper's: Adam at 1e-4, halved every 200k steps, 300k in all, batch 16, 48x48 patches.
    iterations: int = option(300_000, "training steps in all")
    patch_size: int = option(48, "side of a low-resolution patch, in pixels")
    learning_rate: float = option(1e-4, "Adam's step size at the start")
    milestones: tuple = option((200_000.0,), "multistep: steps after which the rate falls")

    START_MODELS = tuple(zoo.MODELS)


def main(argv=None):
    config = parse_config(Config, __doc__, argv)
    models = trained_models(config)
    recipe.train_enlarging(config, partial(learn, models))


def learn(models, run):
    run.start()
    for name, weights in models:
        run.net.initialize_from(zoo.get_model(name, pretrained=weights or True))
    run.train(run.supervised({"pixel": L1Loss()}))


def trained_models(config):
    """Return the models of --init, which may be of another scale, and their files."""
    pairs = [text.partition("=")[::2] for text in config.init]
    models = [(name, file) for name, file in pairs if name.lower() in config.START_MODELS]
    return [(name, file and given(file)) for name, file in models]


if __name__ == "__main__":
    run_script(main)
