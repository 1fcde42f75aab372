"""Make the pages of the site in build/docs: docs/ with pictures, notebooks and references put in.

    python docs/prepare.py && zensical build --strict

What is made here is in no repository: the pictures of the gallery are cut out of the models'
samples, notebooks are run, and pages of the project's root become pages of the site.
"""

import html
import json
import re
import shutil
from pathlib import Path

import nbformat
from kinds import write_rows
from nbclient import NotebookClient
from nbconvert import MarkdownExporter
from PIL import Image

import gluon_enhance
from gluon_enhance.commands import cli
from gluon_enhance.imaging.pictures import HEADING_HEIGHT

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "build" / "docs"
MODEL_ZOO = ROOT / "model_zoo"
#: File of the root -> page of the site. Pages link to the file, as they are read on GitHub too.
ROOT_PAGES = {
    "benchmarks/README.md": "benchmarks.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "adding-things.md",
    "SECURITY.md": "security.md",
}
ROOT_LINK = re.compile(rf"\((?:\.\./)?((?:\.\./)*)({'|'.join(map(re.escape, ROOT_PAGES))})")
SLIDER = re.compile(r"^<!-- slider: (\w+) -->$", re.MULTILINE)
SHEET = re.compile(r"^<!-- sheet: x(\d) -->$", re.MULTILINE)
PUBLIC = re.compile(r"^::: gluon_enhance\.([\w.]+)$", re.MULTILINE)
HELP = re.compile(r"^<!-- help: (.+) -->$", re.MULTILINE)
CELL_SECONDS = 120
"""A cell of a notebook that takes longer is an error."""


def main():
    shutil.rmtree(PAGES, ignore_errors=True)
    ignored = shutil.ignore_patterns("*.py", "*.ipynb", "__pycache__", ".*")
    shutil.copytree(ROOT / "docs", PAGES, ignore=ignored)
    for name, page in ROOT_PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        (PAGES / page).write_text(text.replace("](docs/", "]("), encoding="utf-8")
    shipped = {card.parent.name: json.loads(card.read_text()) for card in cards()}
    for name in shipped:
        write_pictures(name)
    check_gallery(shipped, (PAGES / "gallery.md").read_text(encoding="utf-8"))
    for page in PAGES.rglob("*.md"):
        complete(page, shipped)
    for notebook in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        run_notebook(notebook, PAGES / "notebooks")


def cards():
    return sorted(MODEL_ZOO.glob("*/card.json"))


def write_pictures(name):
    """Cut the first two pictures out of a sample, which shows two or three side by side."""
    folder = PAGES / "pictures"
    folder.mkdir(exist_ok=True)
    with Image.open(MODEL_ZOO / name / "sample.png") as sample:
        columns = round(sample.width / (sample.height - HEADING_HEIGHT))
        width = sample.width // columns
        for k, side in enumerate(("before", "after")):
            box = (k * width, HEADING_HEIGHT, (k + 1) * width, sample.height)
            sample.crop(box).save(folder / f"{name}_{side}.webp", quality=95)


def check_gallery(shipped, gallery):
    """Have every shipped model in the gallery, and no other."""
    differing = set(shipped).symmetric_difference(SLIDER.findall(gallery))
    if differing:
        raise SystemExit(f"in model_zoo and not in the gallery, or the reverse: {differing}")


def complete(page, shipped):
    """Replace a page's marks: sliders, sheets, public names, commands' help, links to the root."""
    text = page.read_text(encoding="utf-8")
    up = "../" * (len(page.relative_to(PAGES).parents) - 1)
    text = SLIDER.sub(lambda mark: slider(shipped[mark[1]], up), text)
    text = SHEET.sub(lambda mark: sheet(shipped, int(mark[1]), up), text)
    text = HELP.sub(lambda mark: command_help(mark[1].split()), text)
    text = PUBLIC.sub(lambda mark: f"::: {defined(mark[1])}", text)
    text = ROOT_LINK.sub(lambda mark: f"({mark[1]}{ROOT_PAGES[mark[2]]}", text)
    page.write_text(text, encoding="utf-8")


def slider(card, up):
    """Return the HTML of a model's pictures before and after, one over the other."""
    before, after = ("Bicubic", "Enhanced") if card["scale"] > 1 else ("Before", "After")
    picture = f"{up}pictures/{card['name']}"
    return f"""
<figure class="slider">
<div class="slider-pictures">
<img src="{picture}_after.webp" alt="{after} by {card["name"]}" loading="lazy">
<img src="{picture}_before.webp" alt="{before}" class="slider-before" loading="lazy">
<span class="slider-label">{before}</span><span class="slider-label slider-right">{after}</span>
<input type="range" min="0" max="100" value="50" aria-label="From {before} to {after}">
</div>
<figcaption>{html.escape(facts(card))}</figcaption>
</figure>
"""


def sheet(shipped, scale, up):
    """Return the HTML of a table: what the models of a scale make of all kinds of pictures."""
    models = {name: card for name, card in shipped.items() if card["scale"] == scale}
    rows = dict(write_rows(models, PAGES / "pictures"))
    lines = ["<table>", table_row("th", "", next(iter(rows.values())))]
    for way, pictures in rows.items():
        name = f"<code>{way}</code>" if way in models else way
        images = (
            f'<img src="{up}pictures/{file}" alt="{kind}, {way}" loading="lazy">'
            for kind, file in pictures.items()
        )
        lines.append(table_row("td", name, images))
    return "\n".join([*lines, "</table>"])


def table_row(tag, name, cells):
    cells = "".join(f"<{tag}>{cell}</{tag}>" for cell in cells)
    return f"<tr><th>{name}</th>{cells}</tr>"


def facts(card):
    """Say how large a model is, how long it was trained, and its score."""
    scores = card["scores"]
    told = [f"{card['parameters']:,} parameters", f"trained for {card['training']['hours']:.2g} h"]
    if "Set5" in scores:
        told.append(f"Set5 {scores['Set5']['psnr_y']:.2f} dB")
    elif "psnr_of_input" in scores["validation"]:
        held_out = scores["validation"]
        told.append(f"held-out photos {held_out['psnr_of_input']:.2f} to {held_out['psnr']:.2f} dB")
    return ", ".join(told)


def command_help(words):
    """Return what ``gluon-enhance ... --help`` prints."""
    command = cli
    for word in words:
        command = command.get_command(None, word)
    name = " ".join(["gluon-enhance", *words])
    context = command.make_context(name, [], resilient_parsing=True)
    return f"```text\n{command.get_help(context)}\n```"


def defined(name):
    """Return where a public name is defined: the package imports it from there on first use."""
    thing = gluon_enhance
    for part in name.split("."):
        thing = getattr(thing, part)
    return f"{thing.__module__}.{thing.__qualname__}"


def run_notebook(path, folder):
    """Run a notebook, and write it as a page with its pictures."""
    folder.mkdir(exist_ok=True)
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    resources = {"unique_key": path.stem, "output_files_dir": f"{path.stem}_files"}
    text, resources = MarkdownExporter().from_notebook_node(notebook, resources=resources)
    (folder / f"{path.stem}.md").write_text(text, encoding="utf-8")
    for name, content in resources["outputs"].items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    shutil.copy(path, folder)


if __name__ == "__main__":
    main()
