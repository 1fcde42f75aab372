"""What training may cost a reader: lines that scripts repeat, files that a step runs through."""

import ast
import io
import sys
import tokenize
from pathlib import Path

from test_budgets import calls, hold, lines_by_file

from gluon_enhance.training import loop

SCRIPTS = sorted((Path(__file__).resolve().parents[2] / "train_scripts").glob("train_*.py"))
MOST_REPEATED = 0.10
"""Of the lines of all scripts."""
RUN = 3
"""Lines, one after the other, from which on they count as repeated."""
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


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


def test_at_most_a_tenth_of_the_scripts_lines_are_repeated(capsys):
    texts = {path.name: code_lines(path) for path in SCRIPTS}
    repeated = {
        name: repeated_lines(lines, [texts[other] for other in texts if other != name])
        for name, lines in texts.items()
    }
    count, total = (sum(map(len, values.values())) for values in (repeated, texts))
    with capsys.disabled():
        said = f"{count} of {total} lines of scripts are repeated: {count / total:.1%}"
        sys.stdout.write(f"\n{said}, of at most {MOST_REPEATED:.0%}\n")
    places = {name: [texts[name][k] for k in sorted(found)] for name, found in repeated.items()}
    assert total > 400 and count / total <= MOST_REPEATED, places


def test_a_step_of_a_gan_passes_few_files(train, vgg_file, tmp_path, monkeypatch, capsys):
    """From drawing a batch of photos in memory to the average."""
    monkeypatch.setattr(loop, "plot_curves", lambda history, path: None)
    options = ("--phase", "gan", "--model", "esrgan_lite_x4", "--critic-channels", 2)
    options += ("--vgg", vgg_file(19), "--reductions", "1.0")  # one photo, at one size

    def run(iterations):
        train("esrgan", tmp_path / str(iterations), *options, "--iterations", iterations)

    lines = lines_by_file(calls(lambda: run(2)), calls(lambda: run(4)))
    assert {f"gluon_enhance/training/{name}.py" for name in ("loop", "steps")} <= lines.keys()
    # Two of these are what losses have as Gluon's do, and VGG's look at its images.
    hold(lines, 11, 1200, capsys)
