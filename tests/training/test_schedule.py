import math
from types import SimpleNamespace

import pytest

pytest.importorskip("mxnet")
from gluon_enhance.training.schedule import make_schedule, warmup_cosine  # noqa: E402


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


def config(**options):
    return SimpleNamespace(
        **{
            "learning_rate": 1e-3,
            "iterations": 100,
            "schedule": "constant",
            "warmup": 0,
            "milestones": (0.5,),
            "decay": 0.5,
            "periods": 4,
            **options,
        }
    )


def rates(**options):
    schedule = make_schedule(config(**options))
    return [schedule(count) for count in range(options.get("iterations", 100))]


def test_the_default_is_the_cosine_with_its_rise():
    cosine = warmup_cosine(1e-3, 100, 10)
    assert rates(schedule="cosine", warmup=10) == [cosine(count) for count in range(100)]


def test_a_constant_rate_is_that_after_a_linear_rise():
    assert rates() == [1e-3] * 100
    expected = [1e-3 * (0.01 + 0.99 * count / 9) for count in range(10)] + [1e-3] * 90
    assert rates(warmup=10) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("milestones", [(0.25, 0.5), (25.0, 50.0), (50.0, 25.0, 0.5)])
def test_steps_after_milestones_have_a_share_of_the_rate(milestones):
    """As PyTorch's MultiStepLR: step 25, counted from 0, is the first after 25 steps."""
    expected = [1e-3] * 25 + [1e-4] * 25 + [1e-5] * 50
    found = rates(schedule="multistep", milestones=milestones, decay=0.1)
    assert found == pytest.approx(expected, rel=1e-12)


def test_restarts_are_cosines_that_begin_at_the_full_rate():
    found = rates(schedule="restarts", periods=4)
    one = [1e-3 * (1e-3 + 0.999 * (1 + math.cos(math.pi * k / 24)) / 2) for k in range(25)]
    assert found == pytest.approx(4 * one, rel=1e-12)


@pytest.mark.parametrize("schedule", ["cosine", "constant", "multistep", "restarts"])
def test_the_rate_of_a_step_does_not_depend_on_those_asked_for(schedule):
    options = {"schedule": schedule, "warmup": 5, "milestones": (20.0, 0.6)}
    one = make_schedule(config(**options))
    backwards = [one(count) for count in reversed(range(100))][::-1]
    assert backwards == rates(**options)


def test_a_multistep_schedule_needs_a_milestone():
    with pytest.raises(ValueError, match="--milestones are"):
        make_schedule(config(schedule="multistep", milestones=()))
