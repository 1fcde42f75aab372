"""The papers that docstrings cite, and their BibTeX entries."""

import re
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
SOURCES = ("gluon_enhance", "train_scripts")


def test_every_paper_that_a_docstring_cites_from_arxiv_has_an_entry_and_no_entry_is_of_another():
    files = (path for name in SOURCES for path in (CHECKOUT / name).rglob("*.py"))
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    cited = set(re.findall(r"arxiv\.org/abs/(\d{4}\.\d{4,5})", text))
    entries = re.findall(r"eprint = \{(.+)\}", (CHECKOUT / "references.bib").read_text())
    assert sorted(entries) == sorted(cited)
