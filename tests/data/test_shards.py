"""Shards against MXNet's own reader of their files."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("mxnet", reason="MXNet is not installed")

from gluon_enhance.data.epochs import Turn  # noqa: E402
from gluon_enhance.data.shards import HEADER, Shards  # noqa: E402
from gluon_enhance.errors import TrainingError  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402


def draw(rng):
    truth = rng.random((3, 4, 6), np.float32)
    return truth[:, ::2, ::2], truth


def features_of(truths):
    return mx.nd.concat(truths, 2 * truths, dim=1)


@pytest.fixture
def complete(tmp_path):
    """Function that makes two shards of five samples."""

    def complete(draw=draw, features_of=features_of, **made_of):
        shards = Shards(tmp_path / "shards", count=2, samples=5)
        shards.complete(draw, features_of, 0, made_of)
        return shards

    return complete


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_are_lists_of_one_array_of_inputs_and_features(complete, tmp_path):
    complete()
    for shard in (0, 1):
        (inputs,) = mx.nd.load(str(tmp_path / f"shards/trainx_{shard}.params"))
        (features,) = mx.nd.load(str(tmp_path / f"shards/trainy_{shard}.params"))
        assert inputs.shape == (5, 3, 2, 3) and features.shape == (5, 6, 4, 6)
        truths = features[:, :3].asnumpy()
        assert np.array_equal(features[:, 3:].asnumpy(), 2 * truths)
        assert np.array_equal(inputs.asnumpy(), truths[:, :, ::2, ::2])


def test_every_sample_is_drawn_and_none_is_made_twice(complete):
    shards = complete()
    drawn = {shards.draw(np.random.default_rng(k))[1].tobytes() for k in range(200)}
    assert len(drawn) == 2 * 5


def test_by_epochs_every_sample_is_drawn_once_in_each(complete, rng):
    shards = complete()
    for epoch in (range(10), range(10, 20)):
        assert len({shards.draw(rng, Turn(0, number))[1].tobytes() for number in epoch}) == 10


def test_a_sample_depends_on_the_generator_alone(complete, rng):
    first, second = (shards.draw(np.random.default_rng(3)) for shards in (complete(), complete()))
    assert all(np.array_equal(a, b) for a, b in zip(first, second))
    assert np.array_equal(first[0], first[1][:3, ::2, ::2])


def test_making_goes_on_after_an_interruption_and_makes_the_same(complete, tmp_path):
    complete()
    folder = tmp_path / "shards"
    whole = contents(folder)
    (folder / "trainy_1.params").unlink()
    made = []
    complete(features_of=lambda truths: made.append(len(truths)) or features_of(truths))
    assert contents(folder) == whole
    assert made == [1, 4, 1]  # one to know the size, and a shard


def test_two_that_share_a_folder_make_each_shard_once(complete):
    """Machines of one run: the second begins while the first is at its first shard."""
    begun, made = threading.Event(), []

    def slow_features_of(truths):
        begun.set()
        time.sleep(0.05)
        made.append(len(truths))
        return features_of(truths)

    def second():
        assert begun.wait(10)
        return complete(features_of=slow_features_of)

    with ThreadPoolExecutor() as pool:
        other = pool.submit(second)
        own = complete(features_of=slow_features_of)
        drawn = [shards.draw(np.random.default_rng(1)) for shards in (own, other.result())]
    assert np.array_equal(drawn[0][1], drawn[1][1])
    assert sum(made) == 1 + 2 * 5  # one to know the size


@pytest.mark.parametrize("length", [7, 100, -1])
def test_shard_that_is_cut_short_is_named(complete, tmp_path, length):
    complete()
    path = tmp_path / "shards" / "trainy_0.params"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(TrainingError, match=r"trainy_0\.params is cut short.*delete it"):
        complete()


def test_shards_of_other_options_are_refused_by_name(complete):
    complete(patch_size=8, data=("a",))
    complete(patch_size=8, data=("a",))
    with pytest.raises(TrainingError, match=r"other options \(patch_size\)"):
        complete(patch_size=9, data=("a",))


def test_the_room_that_shards_take_is_told_before_they_are_made(complete, tmp_path, caplog):
    with caplog.at_level("INFO"):
        complete()
    folder = tmp_path / "shards"
    needed = sum(path.stat().st_size for path in folder.glob("train*")) - 4 * (HEADER.size + 8)
    assert needed == 2 * 5 * 4 * (3 * 2 * 3 + 6 * 4 * 6)
    messages = [record.message for record in caplog.records]
    assert messages[0].startswith(f"{folder} takes 0.00 GB for 2 shards of 5 samples; ")
    assert messages[1] == "making shard 1 of 2"


def test_shards_for_which_there_is_no_room_are_refused_before_any_is_made(
    complete, tmp_path, monkeypatch
):
    needed = 2 * 5 * 4 * (3 * 2 * 3 + 6 * 4 * 6)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed - 1))
    with pytest.raises(TrainingError, match="not 0.00 GB for 2 shards of 5 samples; make room"):
        complete()
    assert not list((tmp_path / "shards").glob("train*"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed))
    complete()


def test_shard_for_which_there_is_no_room_is_an_error_and_not_there(complete, tmp_path, full_disk):
    with full_disk(300), pytest.raises(TrainingError, match="cannot be written .*disk full"):
        complete()
    assert "trainx_0.params" not in contents(tmp_path / "shards")
