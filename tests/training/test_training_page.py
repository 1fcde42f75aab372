"""The page on training names scripts and options that exist."""

import re
import shlex
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = (CHECKOUT / "docs" / "how-to" / "training.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^python train_scripts/train_(\w+)\.py (.+)$", PAGE, re.MULTILINE)
NAMES = sorted(path.stem[len("train_") :] for path in CHECKOUT.glob("train_scripts/train_*.py"))


@pytest.mark.parametrize("name, options", COMMANDS)
def test_commands_are_understood(name, options, script, capsys):
    with pytest.raises(SystemExit) as stopped:
        script(name).main([*shlex.split(options), "--print-config"])
    assert not stopped.value.code


def test_every_option_is_one_of_a_script(script, capsys):
    known = set()
    for name in NAMES:
        with pytest.raises(SystemExit):
            script(name).main(["--help"])
        known.update(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    named = set(re.findall(r"`(--[a-z][a-z-]+)", PAGE))
    assert len(named) > 20 and named <= known


def test_every_script_is_named():
    assert {f"train_{name}.py" for name in NAMES} <= set(re.findall(r"train_\w+\.py", PAGE))
