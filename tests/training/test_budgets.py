"""What training may cost a reader: lines that scripts repeat, files that a step runs through."""

import ast
import io
import sys
import threading
import tokenize
from collections import Counter
from pathlib import Path

import gluon_enhance
from gluon_enhance.training import loop

PACKAGE = f"{Path(gluon_enhance.__file__).parent}/"
SCRIPTS = sorted((Path(__file__).resolve().parents[2] / "train_scripts").glob("train_*.py"))
MOST_REPEATED = 0.10
"""Of the lines of all scripts."""
RUN = 3
"""Lines, one after the other, from which on they count as repeated."""
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
MOST_FILES, MOST_LINES = 9, 1200
"""Files that a step of a GAN runs through, and lines of the functions that it calls in them."""


def code_lines(path):
    """The lines of a script without imports, docstrings, blank lines and comments."""
    text = path.read_text()
    left_out = set()
    for node in ast.walk(ast.parse(text)):
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_docstring or isinstance(node, (ast.Import, ast.ImportFrom)):
            left_out.update(range(node.lineno, node.end_lineno + 1))
    lines = {}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE and token.start[0] not in left_out and token.string:
            lines.setdefault(token.start[0], []).append(token.string)
    return [" ".join(words) for _, words in sorted(lines.items())]


def repeated_lines(lines, others):
    """The places of the lines that stand in runs of `RUN` or more in one of the others."""
    runs = {tuple(other[k : k + RUN]) for other in others for k in range(len(other) - RUN + 1)}
    return {
        k + offset
        for k in range(len(lines) - RUN + 1)
        if tuple(lines[k : k + RUN]) in runs
        for offset in range(RUN)
    }


def test_the_measure_counts_runs_of_three_lines_in_the_same_form():
    lines = ["a", "b", "c", "d", "e", "f"]
    assert repeated_lines(lines, [["x", "b", "c", "d"], ["e", "f", "a"]]) == {1, 2, 3}
    assert repeated_lines(lines, [["a", "b"], ["f", "e", "d"]]) == set()


def test_at_most_a_tenth_of_the_scripts_lines_are_repeated():
    texts = {path.name: code_lines(path) for path in SCRIPTS}
    repeated = {
        name: repeated_lines(lines, [texts[other] for other in texts if other != name])
        for name, lines in texts.items()
    }
    rows = [f"{len(places):4} of {len(texts[name]):4} {name}" for name, places in repeated.items()]
    count, total = (sum(map(len, values.values())) for values in (repeated, texts))
    report(*rows, f"{count} of {total} lines are repeated: {count / total:.1%}")
    assert total > 400 and count / total <= MOST_REPEATED


class Calls:
    """Counts the calls of the package's functions while it is on, by any thread.

    Attributes
    ----------
    counts : Counter of (path, int)
        Calls by file and the line at which the function begins.
    """

    def __init__(self):
        self.counts = Counter()

    def __enter__(self):
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)
        threading.setprofile(None)

    def _note(self, frame, event, _):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and code.co_name[0] != "<":
            self.counts[code.co_filename, code.co_firstlineno] += 1


def lines_of(path, starts):
    """Count the lines of the functions of a file that begin at some lines, decorators included."""
    tree = ast.parse(Path(path).read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    firsts = (min(n.lineno, *(d.lineno for d in [*n.decorator_list, n])) for n in functions)
    return sum(n.end_lineno - k + 1 for n, k in zip(functions, firsts) if k in starts)


def test_a_step_of_a_gan_runs_through_few_files_and_lines(train, vgg_file, tmp_path, monkeypatch):
    """From drawing a batch of photos in memory to the average: what more steps call more often."""
    monkeypatch.setattr(loop, "plot_curves", lambda history, path: None)
    options = ("--phase", "gan", "--model", "esrgan_lite_x4", "--critic-channels", 2)
    options += ("--vgg", vgg_file(19), "--reductions", "1.0")  # one photo, at one size
    runs = []
    for iterations in (2, 4):
        with Calls() as calls:
            train("esrgan", tmp_path / str(iterations), *options, "--iterations", iterations)
        runs.append(calls.counts)
    files = {}
    for path, start in runs[1] - runs[0]:
        files.setdefault(path, set()).add(start)
    lines = {path[len(PACKAGE) :]: lines_of(path, starts) for path, starts in files.items()}
    rows = [f"{count:5} {path}" for path, count in sorted(lines.items())]
    report(*rows, f"{len(lines)} files, {sum(lines.values())} lines of functions")
    assert {"training/loop.py", "training/steps.py", "losses/adversarial.py"} <= lines.keys()
    assert len(lines) <= MOST_FILES and sum(lines.values()) <= MOST_LINES


def report(*lines):
    """Say what was measured; ``pytest -s`` shows it."""
    sys.stdout.write("\n".join(["", *lines, ""]))
