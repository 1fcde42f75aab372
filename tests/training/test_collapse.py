import math

import pytest

from gluon_enhance.errors import TrainingError
from gluon_enhance.training.gan import CRITIC_STEPS, FLAT_STEPS, REDEEMED, CollapseWatch


def watched(name, *values):
    """A watch that has seen these values, each in a step."""
    watch = CollapseWatch()
    for count, value in enumerate(values, 1):
        watch.check({name: value}, count)
    return watch


def test_flat_output_is_an_error_after_many_steps():
    more_than_enough = FLAT_STEPS // REDEEMED + 1
    few = [0.05] * (FLAT_STEPS - 1)
    watched("spread", *few, *[0.5] * more_than_enough, *few)
    with pytest.raises(TrainingError, match=r"flat colors: up to step 500.*\(last 5.00%\)"):
        watched("spread", *[0.05] * FLAT_STEPS)


def test_flat_output_is_seen_through_single_batches_that_are_flat_themselves():
    twenty = [*[0.05] * 19, 0.5]  # 14 more that count
    with pytest.raises(TrainingError, match="flat colors: up to step 710"):
        watched("spread", *twenty * 40)


def test_output_that_is_flat_in_four_steps_of_five_goes_on():
    watched("spread", *[0.05, 0.05, 0.05, 0.05, 0.5] * FLAT_STEPS)


def test_discriminator_that_is_never_wrong_is_reported_once_with_its_loss(caplog):
    watched("color_loss", *[0.0023] * (3 * CRITIC_STEPS))
    (record,) = caplog.records
    assert "the discriminator 'color' is never wrong" in record.message
    assert "(last 0.0023)" in record.message and "up to 200" in record.message


def test_discriminator_at_chance_is_reported_once_with_its_loss(caplog):
    watched("texture_loss", *[2 * math.log(2) + 0.004] * (3 * CRITIC_STEPS))
    (record,) = caplog.records
    assert "the discriminator 'texture' is stuck at chance" in record.message
    assert "2 log 2 = 1.3863 (last 1.3903)" in record.message


def test_discriminator_that_passes_by_is_not_reported(caplog):
    watched("texture_loss", *[1.386] * (CRITIC_STEPS - 1), 1.2, *[1.386] * (CRITIC_STEPS - 1))
    watched("texture_loss", *[0.5, 1.0, 1.386] * CRITIC_STEPS)
    assert not caplog.records


def test_state_carries_on_where_it_was():
    watch = CollapseWatch()
    watch.state = watched("spread", *[0.05] * (FLAT_STEPS - 1)).state
    with pytest.raises(TrainingError, match="flat colors: up to step 7"):
        watch.check({"spread": 0.05}, 7)
