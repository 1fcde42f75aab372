"""A small net's random weights under official names."""

import numpy as np

from gluon_enhance import get_model

MODEL = "realesr_video_x4"
LAST = 34


def random_state(rng):
    """Random weights of `MODEL`, named as in realesr-animevideov3.pth."""
    state = {}
    for name, parameter in get_model(MODEL)._collect_params_with_prefix().items():
        stage, *number, kind = name.split(".")
        place = LAST if stage == "tail" else int(number[0]) + (2 if stage == "body" else 0)
        array = rng.normal(size=parameter.shape) * 0.05
        state[f"body.{place}.{kind.replace('alpha', 'weight')}"] = array.astype(np.float32)
    return state
