import os

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.data.teacher_patches import (  # noqa: E402
    MARGIN,
    PER_SHARD,
    TeacherPatches,
    taught_by,
    with_colors_of,
)
from gluon_enhance.errors import TrainingError  # noqa: E402

SIZE, SCALE = 24, 2


def draw(rng):
    """Every pixel says where it is, and a number of its own says which sample it is of."""
    places = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij"))
    number = np.full((1, SIZE, SIZE), rng.integers(256))
    lr = np.concatenate([places, number]).astype(np.float32) / 255
    return lr, lr.repeat(SCALE, 1).repeat(SCALE, 2)


def teach(image):
    return 255 - image.repeat(SCALE, 0).repeat(SCALE, 1)


def made(folder, count=PER_SHARD, teach=teach, compressed=0.0, **made_of):
    patches = TeacherPatches(folder, count, 8, SCALE, compressed)
    patches.complete(draw, teach, 0, made_of)
    return patches


def test_the_three_parts_of_a_sample_are_of_one_place_and_away_from_the_edges(tmp_path):
    patches, rows = made(tmp_path), set()
    for k in range(200):
        lr, taught, hr = patches.draw(np.random.default_rng(k))
        assert lr.shape == (3, 8, 8) and hr.shape == taught.shape == (3, 16, 16)
        assert lr.dtype == taught.dtype == hr.dtype == np.float32
        np.testing.assert_array_equal(hr, lr.repeat(SCALE, 1).repeat(SCALE, 2))
        # The teacher's negative, with the truth's mean: all is one cell.
        np.testing.assert_allclose(taught, 2 * hr.mean((1, 2), keepdims=True) - hr, atol=1e-6)
        rows.update(np.unique(np.round(255 * lr[0])))
    assert rows == set(range(MARGIN, SIZE - MARGIN))


@pytest.mark.parametrize("share", [0.25, 1])
def test_a_share_of_the_inputs_alone_are_kept_as_jpeg_once_more(share, tmp_path):
    patches, worse = made(tmp_path, compressed=share), []
    for k in range(200):
        lr, taught, hr = patches.draw(np.random.default_rng(k))
        np.testing.assert_allclose(taught, 2 * hr.mean((1, 2), keepdims=True) - hr, atol=1e-6)
        lost = np.abs(lr - hr[:, ::SCALE, ::SCALE]).max()
        assert lost < 0.3
        worse.append(lost > 0.002)
    assert abs(np.mean(worse) - share) < 0.08


def test_a_teachers_cast_and_shading_go_and_its_details_stay():
    rng = np.random.default_rng(0)
    details = 0.1 * (np.indices((128, 160)).sum(0) % 2)
    truth = np.full((128, 160, 3), 0.5, np.float32)
    shading = np.linspace(-0.1, 0.1, 160)[:, None] + rng.uniform(-0.1, 0.1, 3)
    image = (truth + details[..., None] + shading).astype(np.float32)
    result = with_colors_of(image, truth)
    assert np.abs(result.mean((0, 1)) - 0.5).max() < 0.001
    left, right = (result[:, part].mean() for part in (slice(16, 48), slice(112, 144)))
    assert abs(left - right) < 0.005  # 0.12 before
    assert np.allclose(np.diff(result, axis=0), np.diff(image, axis=0), atol=1e-3)


def test_what_an_interrupted_run_has_made_is_not_made_again(tmp_path):
    calls = []

    def interrupted(image):
        calls.append(1)
        if len(calls) == PER_SHARD + 5:
            raise KeyboardInterrupt
        return teach(image)

    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, 2 * PER_SHARD, interrupted)
    whole = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*_0.npy")}
    calls.clear()
    calls.extend([1] * 1000)
    resumed = made(tmp_path, 2 * PER_SHARD, interrupted)
    assert len(calls) == 1000 + PER_SHARD
    assert whole == {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*_0.npy")}
    at_once = made(tmp_path / "other", 2 * PER_SHARD)
    for k in range(20):
        pair = (patches.draw(np.random.default_rng(k)) for patches in (resumed, at_once))
        assert all(np.array_equal(*arrays) for arrays in zip(*pair))


def test_more_samples_later_leave_the_first_as_they_were(tmp_path):
    made(tmp_path)
    before = (tmp_path / "taught_0.npy").read_bytes()
    made(tmp_path, PER_SHARD + 1)
    assert (tmp_path / "taught_0.npy").read_bytes() == before
    assert np.load(tmp_path / "taught_1.npy").shape == (PER_SHARD, 48, 48, 3)


def test_samples_of_another_teacher_are_refused_by_the_options_name(tmp_path):
    made(tmp_path, teacher="one")
    with pytest.raises(TrainingError, match="other options .teacher."):
        made(tmp_path, teacher="two")


def test_a_file_that_was_cut_short_is_refused_by_name(tmp_path):
    made(tmp_path)
    path = tmp_path / "hr_0.npy"
    os.truncate(path, path.stat().st_size - 100)
    with pytest.raises(TrainingError, match=f"{path} is cut short"):
        made(tmp_path)


class Enhancer:
    def __init__(self, scale):
        self.scale = scale

    def __call__(self, image):
        return image.repeat(self.scale, 0).repeat(self.scale, 1)


def test_a_teacher_of_a_larger_scale_is_reduced_to_the_students():
    image = np.full((6, 8, 3), 77, np.uint8)
    assert np.array_equal(taught_by(Enhancer(4), 2)(image), np.full((12, 16, 3), 77, np.uint8))
    assert taught_by(Enhancer(4), 4)(image).shape == (24, 32, 3)


def test_a_teacher_that_enlarges_less_is_refused_by_both_scales():
    with pytest.raises(ValueError, match="teacher enlarges by 2 and the student by 4"):
        taught_by(Enhancer(2), 4)
