import resource
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tiny_training import Config, make_step

from gluon_enhance.errors import TrainingError, WeightsError
from gluon_enhance.framework import mx
from gluon_enhance.training.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from gluon_enhance.training.checkpoint_files import save_arrays
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.gan import DynamicBalance, FixedRatio
from gluon_enhance.training.steps import net_arrays
from gluon_enhance.weights.readers import gluon


@pytest.fixture
def step(rng):
    step = make_step(Config(adversarial=True), Devices("cpu", 4))
    hr = rng.random((4, 3, 6, 6), np.float32)
    step((hr**2, hr))
    return step


@contextmanager
def room_for(size):
    """Let no file grow beyond a size, in bytes, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def names(folder):
    return [path.name for path in list_checkpoints(folder)]


def saved(step, folder, *counts):
    for count in counts:
        save_checkpoint(folder, step, count, {"seed": 0}, [{"step": count, "seconds": 1}])


def test_newest_two_are_kept(step, tmp_path):
    saved(step, tmp_path, 9, 10, 11)
    assert names(tmp_path) == ["step-0000011", "step-0000010"]
    assert len(list(tmp_path.iterdir())) == 2


def test_checkpoint_holds_nets_average_optimizers_and_log(step, tmp_path):
    saved(step, tmp_path, 1)
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {
        "generator.params",
        "critic.params",
        "average.params",
        "generator.states",
        "critics.states",
        "state.json",
    }
    arrays = mx.nd.load(str(folder / "generator.params"))
    for name, array in net_arrays(step.generator).items():
        assert np.array_equal(arrays[name].asnumpy(), array.asnumpy())


# A few bytes are lost when MXNet closes the file, many while it writes; neither raises there.
@pytest.mark.parametrize("room", [100, 1000, 2000])
def test_full_disk_is_an_error_and_leaves_the_former_checkpoint_whole(step, tmp_path, room):
    saved(step, tmp_path, 1)
    with room_for(room), pytest.raises(OSError):
        saved(step, tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-0000001"]
    assert load_checkpoint(tmp_path, step, {"seed": 0})[0] == 1


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_arrays_for_which_there_is_no_room_are_an_error(tmp_path, share):
    arrays = {"weight": mx.nd.ones((100, 100))}
    save_arrays(tmp_path / "whole.params", arrays)
    size = (tmp_path / "whole.params").stat().st_size
    path = tmp_path / "part.params"
    with room_for(int(share * size)), pytest.raises(OSError, match=f"no room for {path}"):
        save_arrays(path, arrays)


class Killed(BaseException):
    """What no code catches."""


def test_kill_between_any_two_operations_leaves_a_whole_checkpoint(step, tmp_path, monkeypatch):
    def interrupt(owner, name, part_first=lambda *_: None):
        original = getattr(owner, name)

        def operation(*arguments, **options):
            nonlocal left
            left -= 1
            if left < 0:
                part_first(*arguments)
                raise Killed
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, operation)

    def half_write(path, *_):
        Path(path).write_bytes(b"half")

    def half_remove(path, *_):
        next(Path(path).iterdir()).unlink()

    left = 1000
    saved(step, tmp_path, 1, 2)
    interrupt(Path, "mkdir")
    interrupt(Path, "replace")
    interrupt(gluon, "save_arrays", half_write)
    interrupt(shutil, "rmtree", half_remove)
    for kills in range(100):
        left = kills
        try:
            saved(step, tmp_path, 3)
        except Killed:
            left = 1000
            assert load_checkpoint(tmp_path, step, {"seed": 0})[0] in (2, 3)
            assert all((path / "state.json").exists() for path in list_checkpoints(tmp_path))
        else:
            break
    assert kills > 6 and names(tmp_path) == ["step-0000003", "step-0000002"]


def damage_by_cutting(path):
    path.write_bytes(path.read_bytes()[:-1])


def damage_by_change(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (damage_by_cutting, "generator.params"),
        (damage_by_change, "generator.params"),
        (damage_by_change, "critics.states"),
        (Path.unlink, "critics.states"),
        (damage_by_cutting, "state.json"),
        (Path.unlink, "state.json"),
    ],
)
def test_damaged_checkpoint_is_passed_over_with_a_warning(step, tmp_path, caplog, damage, name):
    saved(step, tmp_path, 1, 2)
    damage(tmp_path / "step-0000002" / name)
    count, history, _ = load_checkpoint(tmp_path, step, {"seed": 0})
    assert count == 1 and history == [{"step": 1, "seconds": 1}]
    assert "step-0000002 is damaged" in caplog.text and name in caplog.text


def test_damaged_checkpoint_goes_with_the_next_one(step, tmp_path):
    saved(step, tmp_path, 1, 5)
    damage_by_cutting(tmp_path / "step-0000005" / "critic.params")
    saved(step, tmp_path, 2)
    assert names(tmp_path) == ["step-0000002", "step-0000001"]


def test_run_with_nothing_but_damaged_checkpoints_is_an_error(step, tmp_path):
    saved(step, tmp_path, 1)
    damage_by_cutting(tmp_path / "step-0000001" / "state.json")
    with pytest.raises(WeightsError, match="no checkpoint in .* is whole"):
        load_checkpoint(tmp_path, step, {"seed": 0})


def test_checkpoint_that_lacks_a_new_option_is_taken(step, tmp_path):
    saved(step, tmp_path, 1)
    assert load_checkpoint(tmp_path, step, {"seed": 0, "new": 1})[0] == 1


def test_option_that_the_checkpoint_is_older_than_has_the_value_of_former_runs(step, tmp_path):
    saved(step, tmp_path, 1)
    former = {"sampling": "random", "seed": 7}  # the checkpoint tells its seed itself
    assert load_checkpoint(tmp_path, step, {"seed": 0, "sampling": "random"}, formerly=former)
    with pytest.raises(WeightsError, match="sampling was 'random', is 'epochs'. Give the same"):
        load_checkpoint(tmp_path, step, {"seed": 0, "sampling": "epochs"}, formerly=former)


def test_another_balance_begins_where_options_change_and_is_refused_elsewhere(step, tmp_path):
    saved(step, tmp_path, 1)
    balance = step.balance = FixedRatio("3:1")
    load_checkpoint(tmp_path, step, {"seed": 0}, change=True)
    assert balance.state == {"count": 0}
    balance.state = {"count": 5}
    saved(step, tmp_path, 2)
    balance.state = {"count": 0}
    load_checkpoint(tmp_path, step, {"seed": 0}, change=True)
    assert balance.state == {"count": 5}
    step.balance = DynamicBalance(0.5)
    load_checkpoint(tmp_path, step, {"seed": 0}, change=True)
    assert step.balance.state == DynamicBalance(0.5).state
    with pytest.raises(WeightsError, match="has no 'balance'"):
        load_checkpoint(tmp_path, step, {"seed": 0})


def test_checkpoint_of_other_options_is_refused_by_name(step, tmp_path):
    saved(step, tmp_path, 1)
    with pytest.raises(WeightsError, match="seed was 0, is 1"):
        load_checkpoint(tmp_path, step, {"seed": 1})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_not_saved(step, tmp_path, value):
    saved(step, tmp_path, 1)
    weight = step.nets["critic"][0].weight
    weight.set_data(mx.nd.full(weight.shape, value))
    with pytest.raises(TrainingError, match="a weight of the critic is not finite at step 2"):
        saved(step, tmp_path, 2)
    assert names(tmp_path) == ["step-0000001"]
