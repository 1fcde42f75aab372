"""What the README and docs/ show is run; what cannot be run here says in its first line why."""

import doctest
import operator
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import gluon_enhance as ge
from gluon_enhance import engines
from gluon_enhance.commands import cli

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.+?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = "# needs "
"""A comment that begins so, in a block's first line or behind a command, says why it is not run."""
LIMIT = 900
"""Words of the README."""


def blocks(page, language):
    text = page.read_text(encoding="utf-8")
    return [code for name, code in BLOCK.findall(text) if name == language]


def commands(page):
    """List the ``gluon-enhance`` commands of a page, and whether they can be run here."""
    for block in blocks(page, "bash"):
        able = not block.startswith(NEEDS)
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["gluon-enhance"]:
                yield words[1:], able and NEEDS not in line


def name_of(page):
    return str(page.relative_to(CHECKOUT))


WITH_COMMANDS = [page for page in PAGES if any(commands(page))]
WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]


@pytest.fixture(scope="module")
def compiled():
    """Engines by what they were loaded with: the pages load the same few nets again and again."""
    return {}


@pytest.fixture
def files(tmp_path, monkeypatch, rng, compiled):
    """A folder that holds all files which the pages name."""
    import rasterio

    monkeypatch.chdir(tmp_path)
    load = engines.load

    def load_once(*arguments, **options):
        chosen = {**options, "cache": None}  # each test has a cache folder of its own
        key = (arguments, *sorted((name, str(value)) for name, value in chosen.items()))
        if key not in compiled:
            compiled[key] = load(*arguments, **options)
        return compiled[key]

    monkeypatch.setattr(engines, "load", load_once)
    picture = rng.integers(0, 255, (16, 20, 3)).astype(np.uint8)
    large = ge.resize(picture, 4)
    for folder in ("holiday", "scans", "logos", "originals", "Set5/hr", "Set5/lr"):
        Path(folder).mkdir(parents=True)
    alpha = np.dstack([picture, picture[..., 0]])
    photos = {"photo.jpg": picture, "holiday/a.jpg": picture, "scans/a.tif": picture}
    photos.update({"logos/a.png": alpha, "large.png": large, "original.png": large})
    photos.update({"small.jpg": picture, "other.png": 255 - large})
    photos.update({"originals/a.png": large, "originals/b.png": large})
    photos.update({"Set5/hr/a.png": large, "Set5/lr/ax4.png": picture})
    for name, pixels in photos.items():
        ge.write_image(name, pixels)
    bands = rng.integers(100, 3000, (4, 16, 20)).astype(np.uint16)
    for name, scale, count in (
        ("scene.tif", 1, 3),
        ("reference.tif", 1, 3),
        ("huge.tif", 1, 3),
        ("s2.tif", 1, 4),
        ("truth.tif", 4, 3),
    ):
        pixels = bands[:count].repeat(scale, axis=1).repeat(scale, axis=2)
        transform = rasterio.Affine(10 / scale, 0, 600_000, 0, -10 / scale, 5_300_000)
        profile = {"height": 16 * scale, "width": 20 * scale, "count": count, "dtype": "uint16"}
        with rasterio.open(name, "w", transform=transform, crs="EPSG:32632", **profile) as dataset:
            dataset.write(pixels)


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_commands_of_a_page_do_what_it_says(page, files):
    for words, able in commands(page):
        if able:
            result = CliRunner().invoke(cli, words)
            assert result.exit_code == 0, (words, result.output, result.exception)


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_commands_of_a_page_have_options_that_exist(page):
    for words, _ in commands(page):
        name, *arguments = words
        command = cli.get_command(None, name)
        if arguments[:1] and arguments[0] in getattr(command, "commands", ()):
            name, *arguments = arguments
            command = command.commands[name]
        command.make_context(name, arguments)


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_python_of_a_page_runs(page, files):
    names = {}
    for code in blocks(page, "python"):
        if not code.startswith(NEEDS):
            exec(compile(code, name_of(page), "exec"), names)


def test_readme_is_short_and_names_the_two_commands():
    readme = PAGES[0].read_text(encoding="utf-8")
    assert 700 <= len(readme.split()) <= LIMIT
    assert "make test" in readme and "make demo" in readme


def test_links_of_the_readme_lead_to_files():
    readme = PAGES[0].read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)", readme)
    assert links and not [link for link in links if not (CHECKOUT / link).exists()]


MODULES = ("errors", "losses", "metrics")
PUBLIC = [
    *(name for name in ge.__all__ if name not in MODULES),
    *(f"losses.{name}" for name in ge.losses.__all__),
    *(f"metrics.{name}" for name in ge.metrics.__all__),
]


@pytest.mark.parametrize("name", PUBLIC)
def test_examples_of_public_docstrings_run(name, files):
    thing = operator.attrgetter(name)(ge)
    (test,) = doctest.DocTestFinder(recurse=False).find(thing, name)
    assert test.examples or name == "metrics.NIQEModel"
    output = []
    results = doctest.DocTestRunner().run(test, out=output.append)
    assert not results.failed, "".join(output)


def test_no_module_has_the_name_of_a_public_function():
    """Once imported, it would stand where the function is: the package imports both on demand."""
    package = Path(ge.__file__).parent
    modules = {path.stem for path in package.iterdir()}
    assert not modules & {name for name in ge.__all__ if name not in MODULES}
