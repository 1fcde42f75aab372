"""Network interpolation: a net between two that were trained from one another.

References
----------
.. [1] Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", 2018,
   section 3.4. https://arxiv.org/abs/1809.00219
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gluon_enhance.errors import WeightsError
from gluon_enhance.weights.load import differences


def interpolate_states(a: Mapping, b: Mapping, alpha: float) -> dict[str, np.ndarray]:
    """Compute ``(1 - alpha) a + alpha b`` of every array of two state dicts.

    Returns
    -------
    dict of str to ndarray, float32

    Raises
    ------
    ValueError
        If `alpha` is not within [0, 1].
    WeightsError
        If the two do not have the same names and shapes, or hold more than arrays.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; give a number from 0 (all a) to 1 (all b)")
    others = [name for name, array in a.items() if not isinstance(array, np.ndarray)]
    if others or not a:
        held = f"{others[0]!s:.100}, which is no array" if others else "nothing"
        raise WeightsError(f"the first weights hold {held}: convert them to .params first")
    faults = differences(b, a)
    if faults:
        raise WeightsError(
            f"the second weights are not of the first's architecture, or have other names for it "
            f"(then convert both to .params first): {faults}"
        )
    return {name: _mixed(array, b[name], alpha) for name, array in a.items()}


def _mixed(a, b, alpha):
    mixed = (1 - alpha) * a.astype(np.float64) + alpha * b.astype(np.float64)
    return mixed.astype(np.float32)
