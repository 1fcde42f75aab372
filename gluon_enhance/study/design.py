"""What a study asks, of whom and in which order: ``study.toml`` and balanced Latin squares.

References
----------
.. [1] ITU-T P.910, "Subjective video quality assessment methods for multimedia applications", 2023:
   absolute category rating with hidden references (ACR), and degradation category rating (DCR).
.. [2] Williams, "Experimental designs balanced for the estimation of residual effects of
   treatments", 1949: the squares.
.. [3] Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
   Network", 2017: raters are first shown what a 1 and a 5 are. https://arxiv.org/abs/1609.04802
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Optional

from gluon_enhance.errors import GluonEnhanceError, printable
from gluon_enhance.small_files import read_small

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "study.toml"
SCALES = {
    "acr": ("bad", "poor", "fair", "good", "excellent"),
    "dcr": (
        "very annoying",
        "annoying",
        "slightly annoying",
        "perceptible, but not annoying",
        "imperceptible",
    ),
    "pairs": ("first", "second"),
}
"""Kind -> what its ratings from 1 up are called, unless the study says so itself."""
QUESTIONS = {
    "acr": "How good is the quality of this picture?",
    "dcr": "How much is the second picture impaired, compared with the first?",
    "pairs": "Which picture is better?",
}
CONSENT = (
    "You will be shown pictures and asked what you think of them. Taking part is voluntary, and "
    "you can stop at any time. Your ratings are stored with a random number, and nothing else "
    "about you."
)
LONGEST = 100
NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9 ._+-]{{0,{LONGEST - 1}}}(?<![ .])")
"""Of methods and pictures, which are names of folders and files on every system."""


class StudyError(GluonEnhanceError):
    """A study that cannot be made, read or run."""


@dataclass(frozen=True)
class Item:
    """One question to one person.

    Attributes
    ----------
    stage : {'training', 'test', 'repeat'}
        Only ratings of the test become results; a repeat asks once more what the test has asked.
    picture : str
    shown : tuple of str
        The methods whose pictures are shown, in this order: one; of double stimulus the reference
        and one; of pairs two.
    suggested : int, optional
        The rating that an anchor has in the training.
    """

    stage: str
    picture: str
    shown: tuple[str, ...]
    suggested: Optional[int] = None


@dataclass(frozen=True)
class Study:
    """What ``study.toml`` holds, checked.

    Attributes
    ----------
    title, question, consent : str
        What people read.
    kind : {'acr', 'dcr', 'pairs'}
        Absolute categories, categories of degradation beside the reference, or a choice of two.
    scale : tuple of str
        What the ratings 1, 2, ... are called; of pairs, the first and the second picture.
    methods : tuple of str
        What has made the pictures: models, files of a folder, the reference.
    reference : str, optional
        The method that is the original; it is rated too, without being named.
    pictures, training : tuple of str
        Those that are rated, and others to practice with.
    anchors : tuple of (str, int)
        Methods, and the rating that the training suggests for each.
    ratings : int, optional
        So many a person gives at most, besides those of the training and the repeats; None for all.
    repeats : int
        So many of them are asked for twice.
    seed : int
        Of what is drawn by lot.
    """

    title: str
    methods: tuple[str, ...]
    pictures: tuple[str, ...]
    kind: str = "acr"
    question: str = ""
    scale: tuple[str, ...] = ()
    consent: str = CONSENT
    reference: Optional[str] = None
    training: tuple[str, ...] = ()
    anchors: tuple[tuple[str, int], ...] = ()
    ratings: Optional[int] = None
    repeats: int = 0
    seed: int = 0

    def __post_init__(self):
        _require(self.kind in SCALES, "kind", self.kind, f"give one of {', '.join(SCALES)}")
        object.__setattr__(self, "question", self.question or QUESTIONS[self.kind])
        object.__setattr__(self, "scale", self.scale or SCALES[self.kind])
        for key in ("title", "question", "consent"):
            text = getattr(self, key)
            # Of arguments that are no UTF-8, Python makes surrogates, which no file can hold.
            fits = not re.search("[\ud800-\udfff]", text)
            _require(fits, key, text, "write it in UTF-8")
            _require(text.strip(), key, None, "it is empty; give a text for people to read")
        _check_names("methods", self.methods, 2)
        _check_names("pictures", self.pictures, 1)
        _check_names("training", self.training, 0)
        both = {name.lower() for name in self.pictures} & {name.lower() for name in self.training}
        _require(not both, "training", sorted(both), "these are among the pictures too")
        _require(
            self.reference in (None, *self.methods), "reference", self.reference, "it is no method"
        )
        if self.kind == "dcr":
            _require(self.reference, "reference", None, "kind 'dcr' shows it: name a method")
        choices = len(self.scale)
        _require(
            choices == 2 if self.kind == "pairs" else 2 <= choices <= 9,
            "scale",
            list(self.scale),
            "give a word for each rating: 2 of pairs, else 2 to 9",
        )
        words = {word.strip() for word in self.scale}
        _require(
            len(words) == choices and "" not in words,
            "scale",
            list(self.scale),
            "people cannot tell these apart; give each rating a word of its own",
        )
        _require(
            self.training or not self.anchors,
            "anchors",
            dict(self.anchors),
            "only the training says them; give a picture or more for training",
        )
        for name, rating in self.anchors:
            _require(name in self.methods, "anchors", name, "it is no method")
            _require(
                self.kind != "pairs" and 1 <= rating <= choices,
                "anchors",
                {name: rating},
                f"give a rating from 1 to {choices}; pairs have none",
            )
        _require(
            self.ratings is None or self.ratings >= self.block,
            "ratings",
            self.ratings,
            f"one picture takes {self.block}, with all methods: give as many or more",
        )
        half = self.window * self.block // 2
        _require(0 <= self.repeats <= half, "repeats", self.repeats, f"give a number to {half}")

    @cached_property
    def treatments(self) -> tuple[tuple[str, ...], ...]:
        """What is shown of each picture, in no order."""
        if self.kind == "pairs":
            return tuple(itertools.combinations(self.methods, 2))
        if self.kind == "dcr":
            return tuple((str(self.reference), method) for method in self.methods)
        return tuple((method,) for method in self.methods)

    @property
    def block(self) -> int:
        """How many ratings one picture takes."""
        return len(self.treatments)

    @property
    def window(self) -> int:
        """How many pictures a person rates."""
        count = len(self.pictures)
        return count if self.ratings is None else min(count, self.ratings // self.block)

    def fingerprint(self) -> str:
        """Tell studies apart whose ratings may not be mixed; words of the consent may change."""
        asked = {k: v for k, v in vars(self).items() if k in self.__dataclass_fields__}
        for words in ("title", "consent"):
            del asked[words]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]

    def sequence(self, place: int) -> list[Item]:
        """Return what one person is asked.

        People of successive places get successive windows of the pictures, each picture with all
        methods. The pictures come in rounds, whose order is a row of a balanced Latin square; the
        methods that the rounds show of one picture are a row of another. So each method of a
        picture comes early and late, and after each other one, equally often, and no picture is
        shown twice in succession (if there are two or more).

        Parameters
        ----------
        place : int
            0 for who came first.
        """
        draw = random.Random(f"{self.seed} {place}")
        test = self._test(place)
        practice = [
            Item("training", picture, shown, dict(self.anchors).get(shown[-1]))
            for picture in self.training
            for shown in draw.sample(self.treatments, self.block)
        ]
        return practice + self._with_repeats(test, draw)

    def _test(self, place):
        lot = random.Random(f"{self.seed}")
        pictures = lot.sample(self.pictures, len(self.pictures))
        treatments = lot.sample(self.treatments, self.block)
        size = self.window
        first = place * size  # of an endless list of the pictures, again and again
        window = [divmod(n, len(pictures)) for n in range(first, first + size)]
        orders, squares = balanced_square(size), balanced_square(self.block)
        # A square of 2 or 3 has rows that begin as the one before ends.
        step = 1 if size > 3 else 0
        items = []
        for turn in range(self.block):
            for k in orders[(place + turn * step) % len(orders)]:
                times, index = window[k]
                which = squares[(times + index) % len(squares)][turn]
                shown = treatments[which]
                # The sides change with each person, and once more after all rows of the square.
                if self.kind == "pairs" and (times + times // len(squares) + which) % 2:
                    shown = shown[::-1]
                items.append(Item("test", pictures[index], shown))
        return items

    def _with_repeats(self, test, draw):
        """Ask for some of the first half again in the second, pairs with their sides exchanged."""
        half = len(test) // 2
        chosen = draw.sample(test[:half], min(self.repeats, half))
        items = list(test)
        for item in chosen:
            shown = item.shown[::-1] if self.kind == "pairs" else item.shown
            again = Item("repeat", item.picture, shown)
            free = [n for n in range(half + 1, len(items) + 1) if _is_apart(item, items, n)]
            items.insert(draw.choice(free or [len(items)]), again)
        return items


def balanced_square(count: int) -> list[list[int]]:
    """Return a Latin square that is balanced for what comes before, as Williams has it.

    Parameters
    ----------
    count : int
        Of things to order.

    Returns
    -------
    list of list of int
        Orders of 0 to `count` - 1, so many or, if odd, twice as many. In all together each stands
        at each place equally often, and follows each other one equally often.

    Examples
    --------
    >>> balanced_square(4)
    [[0, 1, 3, 2], [1, 2, 0, 3], [2, 3, 1, 0], [3, 0, 2, 1]]
    """
    first = [(n + 1) // 2 if n % 2 else -(n // 2) % count for n in range(count)]
    rows = [[(n + shift) % count for n in first] for shift in range(count)]
    return rows if count % 2 == 0 else rows + [row[::-1] for row in rows]


def read_study(folder: str | Path) -> Study:
    """Read and check the study of a folder.

    Raises
    ------
    StudyError
        If it is not there, is no TOML, or something in it is wrong, which is named.
    """
    path = Path(folder, FILE)
    try:
        text = read_small(path).decode("utf-8-sig")  # some editors of Windows begin files so
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(
            f"{path} cannot be read ({error}); `gluon-enhance study new` makes one"
        ) from error
    try:
        return _study_of(tomllib.loads(text))
    except (StudyError, ValueError, RecursionError) as error:
        raise StudyError(f"{path}: {error}") from error


def picture_file(folder: Path, method: str, picture: str) -> Path:
    """Return where a study's picture lies."""
    return folder / "pictures" / method / f"{picture}.png"


def study_text(study: Study) -> str:
    """Return the ``study.toml`` of a study."""
    lines = [f"# Read by `gluon-enhance study`; {', '.join(SCALES)} are the kinds."]
    for name in study.__dataclass_fields__:
        value = getattr(study, name)
        if name == "anchors":
            value = ", ".join(f"{_toml(key)} = {rating}" for key, rating in value)
            lines.append(f"anchors = {{ {value} }}")
        elif value is not None:
            lines.append(f"{name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value):
    """Return a text, a number or a list of texts as TOML, which writes them as JSON does."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


TYPES: dict[str, tuple[type, str]] = {
    "title": (str, "a text"),
    "question": (str, "a text"),
    "consent": (str, "a text"),
    "kind": (str, "a text"),
    "reference": (str, "a text"),
    "scale": (list, "a list of texts"),
    "methods": (list, "a list of texts"),
    "pictures": (list, "a list of texts"),
    "training": (list, "a list of texts"),
    "anchors": (dict, "a table of whole numbers"),
    "ratings": (int, "a whole number"),
    "repeats": (int, "a whole number"),
    "seed": (int, "a whole number"),
}
"""Key of ``study.toml`` -> what it is."""


def _study_of(table: dict[str, Any]) -> Study:
    for name in ("title", "methods", "pictures"):
        _require(name in table, name, None, "it is missing")
    values: dict[str, Any] = {}
    for name, value in table.items():
        _require(name in TYPES, name, value, f"there is no such key; known are {', '.join(TYPES)}")
        kind, words = TYPES[name]
        inner = value if kind is list else value.values() if kind is dict else ()
        fits = type(value) is kind and all(type(v) is (str if kind is list else int) for v in inner)
        _require(fits, name, value, f"give {words}")
        values[name] = tuple(value) if kind is list else value
    values["anchors"] = tuple(values.get("anchors", {}).items())
    return Study(**values)


def _check_names(key: str, names: Iterable[str], fewest: int) -> None:
    names = list(names)
    _require(len(names) >= fewest, key, names, f"name {fewest} or more")
    folded = [name.lower() for name in names]
    for name in names:
        _require(folded.count(name.lower()) == 1, key, name, "it is named twice")
        _require(
            NAME.fullmatch(name),
            key,
            name,
            "names have up to 100 letters, digits, spaces and ._+-, begin with a letter or "
            "digit, and do not end in a space or period",
        )


def _require(is_right, key, value, remedy):
    if not is_right:
        said = "" if value is None else f" is {printable(str(value))}"
        raise StudyError(f"{key}{said}: {remedy}")


def _is_apart(item, items, place):
    """Tell whether no neighbor shows the same picture."""
    return all(other.picture != item.picture for other in items[place - 1 : place + 1])
