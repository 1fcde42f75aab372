"""The pages on reports: their commands begin, and what they name exists."""

import importlib
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import gluon_enhance as ge
from gluon_enhance.commands import cli

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = sorted((CHECKOUT / "docs" / "reports").glob("*.md"))
TRAINING = re.compile(r"^gluon-enhance train (\w+) (.+)$", re.MULTILINE)


def text_of(page):
    return page.read_text(encoding="utf-8")


def trainings(page):
    return TRAINING.findall(text_of(page).replace("\\\n", " "))


EXPERIMENTS = [(page.stem, *found) for page in PAGES for found in trainings(page)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with all data that the pages' trainings name, of photos as large as they need."""
    folder = tmp_path_factory.mktemp("data")
    photo = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    places = [Path("PHOTOS")]
    for phone in ("blackberry", "iphone"):
        for part in ("training_data", "test_data/patches"):
            places += [Path("dped", phone, part, side) for side in (phone, "canon")]
    for place in places:
        (folder / place).mkdir(parents=True)
        for index in range(3):
            ge.write_image(folder / place / f"{index}.png", photo)
    return folder


@pytest.mark.parametrize("page, name, options", EXPERIMENTS)
def test_trainings_of_the_pages_find_their_data(
    page, name, options, data, script, capsys, monkeypatch
):
    monkeypatch.chdir(data)
    words = shlex.split(options)
    for word in words:  # the result of another training of the page
        if word.endswith(".params"):
            Path(word).parent.mkdir(parents=True, exist_ok=True)
            Path(word).touch()
    script(name).main([*words, "--dry-run"])
    assert json.loads(capsys.readouterr().out)["dry_run"]


def test_each_report_has_a_table_its_commands_and_a_short_run():
    assert len(PAGES) == 5
    for page in PAGES:
        headings = re.findall(r"^## (.+)$", text_of(page), re.MULTILINE)
        assert headings == ["Elements", "The experiments at their size", "What a short run gave"]


def test_options_that_the_pages_name_exist(script, capsys):
    known = {option for name in cli.list_commands(None) for option in options_of(name)}
    for path in CHECKOUT.glob("train_scripts/train_*.py"):
        with pytest.raises(SystemExit):
            script(path.stem).main(["--help"])
        known.update(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    named = {option for page in PAGES for option in re.findall(r"(--[a-z][a-z-]+)", text_of(page))}
    assert len(named) > 30 and named <= known


def options_of(command):
    parameters = cli.get_command(None, command).params
    return [option for parameter in parameters for option in parameter.opts]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_that_a_page_names_exists(page):
    named = re.findall(r"`(gluon_enhance\.[\w.]+)\.(\w+)`", text_of(page))
    assert named
    assert not [name for name in named if not hasattr(importlib.import_module(name[0]), name[1])]
