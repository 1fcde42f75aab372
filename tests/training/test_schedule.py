import math

import pytest

pytest.importorskip("mxnet")
from gluon_enhance.training.schedule import warmup_cosine  # noqa: E402


@pytest.mark.parametrize(
    ("iterations", "warmup", "rise"),
    [(1000, 200, 200), (50, 0, 2), (7, 2000, 5), (3, 5, 2)],
    ids=["usual", "without warmup", "all warmup", "three steps"],
)
def test_rates_rise_linearly_and_fall_as_a_cosine(iterations, warmup, rise):
    """The closed form of both; the shortest rise has two steps, and so has the fall."""
    rate = warmup_cosine(2e-4, iterations, warmup)
    fall = max(2, iterations - rise) - 1
    for count in range(iterations):
        if count < rise:
            share = 0.01 + 0.99 * count / (rise - 1)
        else:
            share = 1e-3 + 0.999 * (1 + math.cos(math.pi * (count - rise) / fall)) / 2
        assert rate(count) == pytest.approx(2e-4 * share, rel=1e-12), count


def test_rates_do_not_depend_on_those_asked_for_before():
    """A resumed run asks for the later ones alone."""
    whole, resumed = warmup_cosine(1e-3, 100, 10), warmup_cosine(1e-3, 100, 10)
    assert [whole(count) for count in range(100)][60:] == [resumed(k) for k in range(60, 100)]
    assert resumed(100) == resumed(99) == pytest.approx(1e-6, rel=1e-12)
