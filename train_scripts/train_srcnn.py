"""Train SRCNN [1]_ on photos.

    python train_scripts/train_srcnn.py --data PHOTOS --out runs/srcnn_x4

The loss is the mean square of the error. The net is the paper's: it works on the luma of the
bicubic enlargement, and R, G and B all move by what it changes the luma by. Unlike the paper's it
starts as that enlargement and keeps the size, and all of its layers learn at one rate.

With --degrade realistic the inputs get the noise and the blur of the photos in --data: for
enlarging photos as they come from such a camera. Interrupt it at will and go on with --resume.

References
----------
.. [1] Dong et al., "Image Super-Resolution Using Deep Convolutional Networks", IEEE TPAMI 38(2),
   2016. https://arxiv.org/abs/1501.00092
"""

from dataclasses import dataclass

from gluon_enhance.losses import L2Loss
from gluon_enhance.training import recipe
from gluon_enhance.training.config import option, parse_config, run_script


@dataclass
class Config(recipe.EnlargingConfig):
    model: str = option("srcnn_x4", "a net of the zoo that enlarges")
    # The paper takes 8e8 backpropagations of SGD; Adam needs a fraction of them.
    iterations: int = option(100_000, "training steps in all")
    learning_rate: float = option(1e-3, "Adam's step size at the start")


def main(argv=None):
    recipe.train_enlarging(parse_config(Config, __doc__, argv), learn)


def learn(run):
    run.start()
    run.train(run.supervised({"pixel": L2Loss()}))


if __name__ == "__main__":
    run_script(main)
