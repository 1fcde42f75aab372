"""A checkpoint may be anybody's: it is data, and what it should not hold is an error."""

import json
import os
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from tiny_training import Config, make_step

from gluon_enhance.errors import WeightsError
from gluon_enhance.framework import mx
from gluon_enhance.training.checkpoint import load_checkpoint, save_checkpoint
from gluon_enhance.training.checkpoint_files import save_arrays
from gluon_enhance.training.devices import Devices
from gluon_enhance.training.gan import DynamicBalance

FILES = (
    "generator.params",
    "critic.params",
    "average.params",
    "generator.states",
    "critics.states",
)


@pytest.fixture
def step(rng):
    step = make_step(Config(adversarial=True), Devices("cpu", 4))
    hr = rng.random((4, 3, 6, 6), np.float32)
    step((hr**2, hr))
    return step


@pytest.fixture
def checkpoint(step, tmp_path):
    return save_checkpoint(tmp_path, step, 1, {"seed": 0}, [{"step": 1, "seconds": 1}])


def load(step, checkpoint):
    return load_checkpoint(checkpoint.parent, step, {"seed": 0})


def forge(checkpoint, **changes):
    """Change ``state.json``, and have its checksums be those of the files as they are now."""
    path = checkpoint / "state.json"
    state = json.loads(path.read_text())
    for name in state["checksums"]:
        state["checksums"][name] = zlib.crc32((checkpoint / name).read_bytes())
    path.write_text(json.dumps({**state, **changes}))


class Attack:
    """What leaves a file where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("name", FILES)
def test_pickle_in_a_checkpoint_is_not_run(step, checkpoint, tmp_path, name):
    mark = tmp_path / "mark"
    attack = pickle.dumps(Attack(mark))
    (checkpoint / name).write_bytes(attack)
    forge(checkpoint)
    with pytest.raises(WeightsError, match=rf"{name} is cut short, damaged or not a \.params file"):
        load(step, checkpoint)
    assert not mark.exists()
    pickle.loads(attack)
    assert mark.exists()


def test_checkpoint_of_an_earlier_version_is_refused_in_one_line(step, checkpoint):
    for name, trainer in step.trainers.items():
        trainer.save_states(str(checkpoint / f"{name}.states"))
    forge(checkpoint)
    path = checkpoint / "state.json"
    state = json.loads(path.read_text())
    del state["updates"]
    path.write_text(json.dumps(state))
    with pytest.raises(WeightsError, match="is of an earlier version.* another --out") as error:
        load(step, checkpoint)
    assert "\n" not in str(error.value)


def test_index_of_a_sparse_array_is_not_written_to(step, checkpoint):
    """MXNet's own reader makes an array dense by it, wherever in memory that is."""
    row = np.arange(1, 5, dtype=np.float32)
    sparse = mx.nd.sparse.row_sparse_array((row[None], [0]), shape=(3, 4))
    path = checkpoint / "critic.params"
    mx.nd.save(str(path), {"2.weight": sparse})
    index = struct.pack("<q", 0)
    data = path.read_bytes()
    assert row.tobytes() + index in data
    path.write_bytes(data.replace(row.tobytes() + index, row.tobytes() + struct.pack("<q", 10**9)))
    forge(checkpoint)
    with pytest.raises(WeightsError, match="an array is sparse"):
        load(step, checkpoint)


@pytest.mark.parametrize("name", FILES)
def test_file_that_is_cut_anywhere_is_an_error_whatever_its_checksum(step, checkpoint, name):
    data = (checkpoint / name).read_bytes()
    for size in range(0, len(data), 37):
        (checkpoint / name).write_bytes(data[:size])
        forge(checkpoint)
        with pytest.raises(WeightsError, match=f"{name} is cut short"):
            load(step, checkpoint)


@pytest.mark.parametrize(
    ("key", "array", "problem"),
    [
        ("critic.0.bias.mean", None, r"'critic\.0\.bias\.mean' is missing in it, here float32"),
        (
            "critic.0.bias.mean",
            np.zeros(3, np.float32),
            r"is float32 of \(3,\) in it, here .*\(2,\)",
        ),
        ("critic.0.bias.mean", np.zeros(2), r"is float64 of \(2,\) in it, here float32 of \(2,\)"),
        ("other", np.zeros(2, np.float32), r"'other' is float32 of \(2,\) in it, here unknown"),
    ],
)
def test_moments_of_another_net_are_refused_by_name(step, checkpoint, key, array, problem):
    path = checkpoint / "critics.states"
    arrays = mx.nd.load(str(path))
    arrays.pop(key, None)
    if array is not None:
        arrays[key] = mx.nd.array(array, dtype=array.dtype)
    save_arrays(path, arrays)
    forge(checkpoint)
    with pytest.raises(WeightsError, match=f"critics.states does not fit this run: .*{problem}"):
        load(step, checkpoint)


def test_file_that_the_run_needs_and_the_checkpoint_lacks_is_named(step, checkpoint):
    state = json.loads((checkpoint / "state.json").read_text())
    del state["checksums"]["critics.states"]
    (checkpoint / "state.json").write_text(json.dumps(state))
    with pytest.raises(WeightsError, match=r"it lacks critics\.states; start again"):
        load(step, checkpoint)


@pytest.mark.parametrize(
    "changes",
    [
        {"count": -1},
        {"count": "1"},
        {"averaged": -10},
        {"averaged": 10**400},
        {"updates": 1},
        {"updates": {"critics": 1.5}},
        {"updates": {"critics": 10**400}},
        {"collapse": {"flat": "1"}},
        {"photos": None},
        {"config": []},
        {"history": {}},
        {"history": [1]},
        {"history": [{"step": 1}]},
        {"history": [{"step": 1, "seconds": "=1"}]},
        {"history": [{"step": 1, "seconds": 1, "\ud800": 1}]},
        {"checksums": []},
        {"checksums": {"../run.csv": 0}},
        {"checksums": {"/dev/zero": 0}},
    ],
)
def test_state_of_other_kinds_is_passed_over_as_damage(step, checkpoint, caplog, changes):
    forge(checkpoint, **changes)
    with pytest.raises(WeightsError, match="no checkpoint in .* is whole"):
        load(step, checkpoint)
    assert f"damaged (state.json or a file that it names: {next(iter(changes))!r}" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [None, {}, {"waited": []}, {"critic_losses": 1}, {"critic_losses": ["a"]}, {"waited": 1e999}],
)
def test_balance_that_is_none_is_an_error(step, checkpoint, wrong):
    step.balance = DynamicBalance(1.0)
    forge(checkpoint, balance={**step.balance.state, **wrong} if wrong else wrong)
    with pytest.raises(WeightsError, match="has no 'balance' to go on from"):
        load(step, checkpoint)


@pytest.mark.parametrize("text", ["", "1", "[]", "{", "[" * 100_000, '{"updates": {}}', "\xff"])
def test_text_that_is_no_state_is_an_error(step, checkpoint, text):
    (checkpoint / "state.json").write_text(text, encoding="latin-1")
    with pytest.raises(WeightsError):
        load(step, checkpoint)


@pytest.mark.parametrize("name", ["state.json", "critics.states"])
def test_pipe_in_place_of_a_file_is_not_waited_for(step, checkpoint, caplog, name):
    (checkpoint / name).unlink()
    os.mkfifo(checkpoint / name)
    with pytest.raises(WeightsError, match="no checkpoint in .* is whole"):
        load(step, checkpoint)
    assert name in caplog.text
    assert "is not there, or not a file" in caplog.text or "is no regular file" in caplog.text
