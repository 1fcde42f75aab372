import numpy as np

from gluon_enhance.imaging.self_ensemble import self_ensemble


def test_the_eight_views_are_all_different_and_come_back_in_place(rng):
    batch = rng.random((1, 3, 4, 6), np.float32)
    seen = []

    def enlarge(view):
        seen.append(view)
        return view.repeat(2, axis=2).repeat(2, axis=3)

    result = self_ensemble(enlarge)(batch)
    assert np.abs(result - enlarge(batch)).max() < 1e-6
    assert len({view.tobytes() for view in seen}) == 8
    assert all(view.flags.c_contiguous for view in seen)


def test_what_depends_on_a_direction_becomes_its_mean(rng):
    batch = rng.random((1, 1, 5, 5), np.float32)
    neighbors = [np.roll(batch, step, axis) for step in (1, -1) for axis in (2, 3)]
    result = self_ensemble(lambda view: np.roll(view, 1, axis=3))(batch)
    assert np.abs(result - np.mean(neighbors, axis=0)).max() < 1e-6
