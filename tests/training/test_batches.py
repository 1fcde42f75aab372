import threading

import numpy as np
import pytest

from gluon_enhance.training.devices import batches, sample_rng


def draw(rng):
    return rng.random((3, 2, 2), np.float32), rng.random((3, 4, 4), np.float32)


def listed(start=0, stop=4, **options):
    return list(batches(draw, 4, seed=7, start=start, stop=stop, **options))


def equal(ours, theirs):
    return len(ours) == len(theirs) and all(
        np.array_equal(a, b) for batch, other in zip(ours, theirs) for a, b in zip(batch, other)
    )


def test_sample_depends_on_seed_step_and_place_alone():
    for step, (lr, hr) in enumerate(listed()):
        assert lr.shape == (4, 3, 2, 2) and hr.shape == (4, 3, 4, 4)
        for index in range(4):
            expected = draw(np.random.default_rng((7, step, index)))
            assert np.array_equal(lr[index], expected[0])
            assert np.array_equal(hr[index], expected[1])


def test_batches_go_on_where_a_run_was_interrupted():
    assert equal(listed()[2:], listed(start=2))


@pytest.mark.parametrize("workers", [0, 2, 3])
def test_batches_do_not_depend_on_the_number_of_threads(workers):
    assert equal(listed(workers=workers), listed())


def test_parts_of_the_machines_make_the_joint_batch():
    parts = [listed(share=(rank, 2)) for rank in range(2)]
    joint = [tuple(map(np.concatenate, zip(*both))) for both in zip(*parts)]
    assert equal(joint, listed())


def test_batch_that_machines_cannot_share_equally_is_an_error():
    with pytest.raises(ValueError, match="batch_size is 4; it must be a multiple of 3"):
        listed(share=(0, 3))


def test_seeds_differ():
    assert sample_rng(0, 1, 2).random() != sample_rng(1, 1, 2).random()


def test_error_of_a_thread_reaches_the_training():
    def fail(rng):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        next(batches(fail, 4, 0, 0, 4))


def test_threads_end_when_the_training_stops_early():
    source = batches(draw, 4, 0, 0, 1000, workers=2)
    next(source)
    source.close()
    for thread in threading.enumerate():
        if thread.name.startswith("batches"):
            thread.join(5)
            assert not thread.is_alive()


def test_threads_are_ahead_by_a_bounded_number_of_batches():
    drawn = []

    def count(rng):
        drawn.append(1)
        return draw(rng)

    source = batches(count, 4, 0, 0, 1000, workers=1)
    next(source)
    source.close()
    assert len(drawn) <= 4 * (1 + 2)


def test_by_epochs_machines_and_runs_that_go_on_take_the_items_that_are_due():
    def draw(rng, turn):
        return (np.array([turn.of(12)]),)

    def items(start, share=(0, 1)):
        source = batches(draw, 4, 0, start, 6, 0, share, by_epochs=True)
        return [batch[0].ravel().tolist() for batch in source]

    whole = items(0)
    assert sorted(sum(whole[:3], [])) == sorted(sum(whole[3:], [])) == list(range(12))
    assert items(2) == whole[2:]
    halves = zip(items(0, (0, 2)), items(0, (1, 2)))
    assert [first + second for first, second in halves] == whole
