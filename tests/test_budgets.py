"""What a reader must follow: the files and lines that one more photo, raster or step runs through.

A function counts with all its lines, docstring too, if it is called more often for three inputs
than for one: what is done once, such as loading the model, is left out.
"""

import ast
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio

from gluon_enhance.commands import main

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = str(ROOT / "gluon_enhance")


def calls(work):
    """Count the calls of the package's functions, by file and first line."""
    counts = Counter()

    def note(frame, event, _):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and code.co_name[0] != "<":
            counts[code.co_filename, code.co_firstlineno] += 1

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return counts


def lines_by_file(once, thrice):
    lines = defaultdict(int)
    for (file, first), count in thrice.items():
        if count > once[file, first]:
            for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef):
                    start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                    if start == first:
                        lines[str(Path(file).relative_to(ROOT))] += node.end_lineno - start + 1
    return dict(lines)


def follow(sources, folder):
    """Enhance one file, then all, and return the lines of what runs for each more, by file."""

    def enhance(files, name):
        with pytest.raises(SystemExit) as status:
            main(["enhance", *map(str, files), "-o", str(folder / name), "--precision", "fp32"])
        assert status.value.code == 0

    enhance(sources[:1], "before")  # what is done once in a process
    once = calls(lambda: enhance(sources[:1], "once"))
    return lines_by_file(once, calls(lambda: enhance(sources, "thrice")))


def hold(lines, files, total, capsys):
    with capsys.disabled():
        said = f"{len(lines)} files of {files}, {sum(lines.values())} lines of {total}"
        sys.stdout.write(f"\n{said}\n")
    assert len(lines) <= files, lines
    assert sum(lines.values()) <= total, lines


def test_a_photo_passes_few_files(tmp_path, rng, capsys):
    sources = [tmp_path / f"{name}.jpg" for name in "abc"]
    for path in sources:
        cv2.imwrite(str(path), rng.integers(0, 256, (24, 32, 3)).astype(np.uint8))
    hold(follow(sources, tmp_path), 16, 2500, capsys)


def test_a_raster_passes_few_files(tmp_path, rng, capsys):
    sources = [tmp_path / f"{name}.tif" for name in "abc"]
    profile = {"driver": "GTiff", "width": 32, "height": 24, "count": 3, "dtype": "uint8"}
    profile.update(crs="EPSG:32632", transform=rasterio.Affine(2, 0, 500000, 0, -2, 5000000))
    for path in sources:
        with rasterio.open(path, "w", **profile) as dst:
            dst.write(rng.integers(0, 256, (3, 24, 32)).astype(np.uint8))
    hold(follow(sources, tmp_path), 27, 3000, capsys)


def test_no_reader_is_imported_that_is_not_used():
    code = (
        "import sys, numpy, gluon_enhance as ge; "
        "ge.Enhancer('srcnn_x4', precision='fp32')(numpy.zeros((8, 8, 3), numpy.uint8)); "
        "print(*(name for name in sys.modules if '.readers.' in name or '.checks.' in name))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    # What a zip may unpack to is asked of downloads too.
    assert set(result.stdout.split()) <= {"gluon_enhance.weights.readers.archives"}
