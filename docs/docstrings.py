"""How the site shows what Markdown lacks in docstrings: references, and Gluon's inputs."""

import re

import griffe

REFERENCE = re.compile(r"^\.\. \[(\d+)\] (.+?)(?=^\.\. \[|^\S|\Z)", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^References\n-+\n", re.MULTILINE)
ARRAYS = re.compile(r"^(Inputs|Outputs):\n((?:    .+\n?)+)\n?", re.MULTILINE)
SECTION = re.compile(r"^(?:Parameters|Attributes|Returns|Raises|Examples)\n-+$", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Puts references, inputs and outputs, as lists, before the sections of a docstring.

    References that a docstring cites are its own, or those of its module.
    """

    def on_object(self, *, obj, **kwargs):
        if obj.docstring is None or obj.is_module:
            return
        text = obj.docstring.value
        module = obj.module.docstring.value if obj.module.docstring else ""
        known = {**_references(module), **_references(text)}
        cited = [n for n in dict.fromkeys(re.findall(r"\[(\d+)\]_", text)) if n in known]
        notes = [f"[{number}] {known[number]}" for number in cited]
        notes += [f"{name}:\n\n{_dedented(lines)}" for name, lines in ARRAYS.findall(text)]
        text = ARRAYS.sub("", REFERENCE.sub("", HEADING.sub("", text))).replace("]_", "]")
        section = SECTION.search(text)
        start = section.start() if section else len(text)
        parts = [text[:start].rstrip(), *notes, text[start:]]
        obj.docstring.value = "\n\n".join(part for part in parts if part)


def _references(text):
    return {number: " ".join(entry.split()) for number, entry in REFERENCE.findall(text)}


def _dedented(lines):
    return re.sub("^    ", "", lines, flags=re.MULTILINE)
