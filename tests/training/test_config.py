import dataclasses
import json
import logging
from dataclasses import dataclass
from typing import Optional

import pytest

from gluon_enhance.errors import TrainingError
from gluon_enhance.training.config import TrainingConfig, option, parse_config, run_script

NEEDED = ["--data", "a", "b", "--out", "run"]


@dataclass
class Config(TrainingConfig):
    iterations: int = option(100, "steps")
    weight: float = option(0.5, "of a loss")
    share: float = option(0.5, "of the whole", most=1)
    optional: int = option(0, "steps; 0: the recipe's")
    sizes: tuple = option((1.0, 0.5), "sizes")
    phase: str = option("psnr", "what to do", ("psnr", "gan"))
    init: Optional[str] = option(None, "weights")
    dense: bool = option(False, "wiring")


def parse(*arguments):
    return parse_config(Config, "a script", [*NEEDED, *arguments])


def test_fields_are_options_with_their_defaults():
    assert parse() == Config(data=("a", "b"), out="run")
    config = parse("--weight", "2", "--sizes", "1", "0.25", "--dense", "--init", "x.params")
    assert (config.weight, config.sizes, config.dense) == (2.0, (1.0, 0.25), True)
    assert config.init == "x.params" and isinstance(config.sizes[0], float)


@pytest.mark.parametrize("missing", ["data", "out"])
def test_data_and_out_are_needed(missing, capsys):
    given = ["--data", "a"] if missing == "out" else ["--out", "run"]
    with pytest.raises(SystemExit):
        parse_config(Config, "a script", given)
    assert f"--{missing} is needed" in capsys.readouterr().err


def test_choice_that_is_not_there_is_an_error_that_lists_them(capsys):
    with pytest.raises(SystemExit):
        parse("--phase", "both")
    assert "psnr" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option, value",
    [
        ("--iterations", "-5"),
        ("--iterations", "0"),
        ("--batch-size", "0"),
        ("--patch-size", "0"),
        ("--log-every", "0"),
        ("--validate-every", "0"),
        ("--save-every", "-1"),
        ("--workers", "-1"),
        ("--warmup", "-1"),
        ("--seed", "-1"),
        ("--seed", "2147483648"),
        ("--learning-rate", "nan"),
        ("--learning-rate", "inf"),
        ("--weight", "-0.5"),
        ("--share", "1.5"),
        ("--sizes", "-1.0"),
    ],
)
def test_number_that_makes_no_sense_is_named_with_its_option(option, value, capsys):
    with pytest.raises(SystemExit):
        parse(option, value)
    assert f"error: {option} is {value}; give " in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--workers", "--warmup", "--seed", "--weight", "--optional"])
def test_numbers_that_may_be_0_may(option):
    assert getattr(parse(option, "0"), option[2:]) == 0


def test_config_file_gives_options_that_the_command_line_does_not(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"weight": 3, "sizes": [0.5], "phase": "gan"}))
    config = parse("--config", str(path), "--phase", "psnr")
    assert (config.weight, config.sizes, config.phase) == (3.0, (0.5,), "psnr")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"wieght": 3}', "options unknown here: wieght"),
        ("{", "cannot be read"),
        ("[1]", "cannot be read"),
    ],
)
def test_unusable_config_file_is_an_error_that_says_why(tmp_path, text, message):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        parse("--config", str(path))


@pytest.mark.parametrize("values", [{"phase": "both"}, {"weight": "much"}])
def test_config_file_is_checked_as_the_command_line_is(tmp_path, values, capsys):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    with pytest.raises(SystemExit):
        parse("--config", str(path))
    (value,) = values.values()
    assert repr(value) in capsys.readouterr().err


def test_config_of_a_run_gives_the_same_config(tmp_path):
    config = parse("--dense", "--sizes", "0.5", "--resume", "--learning-rate", "1e-05")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(dataclasses.asdict(config)))
    assert parse("--config", str(path)) == dataclasses.replace(config, config=str(path))


def test_length_and_place_of_a_run_may_change_and_nothing_else():
    fixed = parse().fixed()
    assert fixed == parse("--iterations", "9", "--ctx", "gpu(0)", "--workers", "3").fixed()
    assert fixed != parse("--seed", "1").fixed()
    assert fixed != parse("--weight", "1").fixed()
    assert json.loads(json.dumps(fixed)) == fixed


@pytest.mark.parametrize("error", [TrainingError, ValueError, FileNotFoundError])
def test_what_a_user_can_mend_is_one_line(error, capsys, monkeypatch):
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)

    def main():
        raise error("no photos")

    with pytest.raises(SystemExit) as exit:
        run_script(main)
    assert exit.value.code == "error: no photos"  # Python prints it, with status 1


def test_yaml_gives_options_too_and_numbers_as_people_write_them(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("weight: 3\nsizes: [0.5, 1]\nlearning_rate: 1e-5\ndense: true\n")
    config = parse("--config", str(path))
    assert (config.weight, config.sizes, config.dense) == (3.0, (0.5, 1.0), True)
    assert config.learning_rate == 1e-5
    path.write_text("weight: [")
    with pytest.raises(ValueError, match="config.yaml cannot be read"):
        parse("--config", str(path))


def test_all_options_are_printed_without_any_needed(capsys):
    with pytest.raises(SystemExit) as exit:
        parse_config(Config, "a script", ["--print-config", "--weight", "3"])
    assert not exit.value.code
    printed = json.loads(capsys.readouterr().out)
    assert printed["weight"] == 3 and printed["phase"] == "psnr" and not printed["print_config"]
    assert printed.keys() == {field.name for field in dataclasses.fields(Config)}


@dataclass
class WithVariants(Config):
    VARIANTS = {"phase": {"gan": {"weight": 2.0, "warmup": 0}}}


def test_an_option_has_defaults_of_others_which_the_command_line_overrides():
    def parsed(*arguments):
        return parse_config(WithVariants, "a script", [*NEEDED, *arguments])

    assert (parsed().weight, parsed().warmup) == (0.5, 200)
    gan = parsed("--phase", "gan")
    assert (gan.weight, gan.warmup) == (2.0, 0)
    assert parsed("--phase", "gan", "--weight", "5").weight == 5


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--betas", "0.9"), "--betas takes two numbers, not 1"),
        (("--change",), "--change is for --resume; leave it out"),
        (("--start", "random"), "invalid choice: 'random'"),
        (("--decay", "1.5"), "--decay is 1.5; give 0 to 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        parse(*arguments)
    assert message in capsys.readouterr().err
