"""What reads files of others: how it is called, small files it takes, and what it may do.

Whatever the bytes, a reader gives a result or raises one of the package's errors, runs no code of
the file, and takes memory for at most `factor` times the file: Python's objects to a few MB, and
those of libraries, which only the process's peak shows, to `native` bytes more.
"""

import hashlib
import io
import json
import math
import shutil
import struct
import sys
import tempfile
import tracemalloc
import zipfile
import zlib
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Callable, NamedTuple
from unittest import mock

import cv2
import numpy as np
import rasters
import tifffile
from PIL import Image

from gluon_enhance import Enhancer
from gluon_enhance.errors import GluonEnhanceError
from gluon_enhance.exporting.symbol_graph import read_graph
from gluon_enhance.framework import is_mxnet_installed
from gluon_enhance.photos import Photo, photo, read_image, write_image
from gluon_enhance.photos.formats import FORMATS
from gluon_enhance.photos.xmp import updated
from gluon_enhance.rasters.claims import PROPORTION
from gluon_enhance.weights.readers import tensorflow
from gluon_enhance.weights.readers.gluon import MAGIC, read_params
from gluon_enhance.weights.readers.ncnn import read_ncnn
from gluon_enhance.weights.readers.safetensors import read_safetensors
from gluon_enhance.weights.readers.tensorflow import read_tensorflow
from gluon_enhance.weights.readers.torch import read_torch
from gluon_enhance.weights.readers.torch7 import read_torch7
from gluon_enhance.weights.vgg import _read_keras, _read_npz

sys.path.insert(0, str(Path(__file__).parents[1] / "weights"))

from tensorflow_files import write_checkpoint  # noqa: E402
from torch7_files import Layer, t7_bytes  # noqa: E402
from torch_files import write_legacy, write_zip  # noqa: E402

ALL = "all"
SLACK, IMPORTS = 4 << 20, 1 << 30
"""Bytes that any file may take: for buffers, and for what is imported on first use."""

PIXELS_PER_BYTE = max(form.pixels_per_byte for form in FORMATS.values())
"""So many pixels a picture may claim for each of its bytes."""

NATIVE, ENGINE, GDAL = 32 << 20, 512 << 20, 128 << 20
"""As above, of the process: for allocators, for maps of a net that an engine lets pass, and for
GDAL, which takes 1.4 kB for each of up to 65,535 bands before anyone can ask."""

PROCESS = Path("/proc/self")

FOLDER = Path(__file__).with_name("folder")
"""What `gluon_enhance.export` wrote for a net of two convolutions and an instance norm."""

CODE = ("os.exec", "os.posix_spawn", "os.system", "pickle.", "socket.",
        "subprocess.", "ctypes.")  # fmt: skip
"""Beginnings of the events of Python's audit that no reader may cause."""


class Target(NamedTuple):
    """A reader; `prepare` makes of the fuzzer's bytes what passes checksums."""

    seeds: Callable[[], list]
    read: Callable[[Path], object]
    factor: int
    name: str = "file"
    prepare: Callable[[bytes], bytes] = bytes
    native: int = NATIVE


def check(name: str, data: bytes, folder: Path, slack: int = SLACK) -> None:
    """Read a file with these bytes in an empty folder; raise what must not happen.

    A first byte chooses the target if the name is "all". Memory must be traced: starting to trace
    anew for each file would leave some kilobytes behind each time.
    """
    assert tracemalloc.is_tracing(), "call tracemalloc.start() first"
    if name == ALL:
        name, data = list(TARGETS)[data[0] % len(TARGETS)] if data else "image", data[1:]
    target = TARGETS[name]
    path = folder / target.name
    path.write_bytes(target.prepare(data))
    before = _resident_from_now()
    tracemalloc.reset_peak()
    taken, _ = tracemalloc.get_traced_memory()
    try:
        target.read(path)
    except GluonEnhanceError as error:
        assert len(str(error)) < 2000, "an endless message"
    finally:
        peak = tracemalloc.get_traced_memory()[1] - taken
    bound = target.factor * len(data) + slack
    assert peak < bound, f"{peak:,} bytes for {len(data):,}"
    grown = _resident("VmHWM") - before
    assert grown < bound + target.native, f"{grown:,} bytes of the process for {len(data):,}"


def _resident_from_now():
    """Return the bytes that the process has, which its peak is from now on, if Linux tells."""
    with suppress(OSError):
        (PROCESS / "clear_refs").write_text("5")
        return _resident("VmRSS")
    return math.inf


def _resident(kind):
    """Read a number of bytes from the process's status; 0 if there is none."""
    with suppress(OSError):
        rows = (PROCESS / "status").read_text().splitlines()
        return next((int(row.split()[1]) << 10 for row in rows if row.startswith(f"{kind}:")), 0)
    return 0


def seeds(name: str) -> list[bytes]:
    """List small files that a target reads."""
    if name != ALL:
        return TARGETS[name].seeds()
    return [bytes([k]) + seed for k, one in enumerate(TARGETS) for seed in seeds(one)]


@contextmanager
def without_checksums():
    """Have every checksum be right, which a fuzzer would not find."""
    right = lambda *_: mock.ANY  # noqa: E731
    with (
        mock.patch.object(tensorflow, "masked_crc32c", right),
        mock.patch.object(zipfile, "crc32", right),
    ):
        yield


@cache
def forbid_code() -> None:
    """Make an error of events that would run code, from now on in this process."""
    with suppress(ImportError):
        import h5py  # noqa: F401 - it runs text where it is imported, at the first HDF5 file

    def refuse(event, arguments):
        # Modules of Python that are imported on first use come from files.
        is_text = event == "exec" and not Path(arguments[0].co_filename).is_file()
        if is_text or event.startswith(CODE):
            raise AssertionError(f"{event} {arguments!r:.200}")

    sys.addaudithook(refuse)


def _png_with_checksums(data):
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    parts, position = [data[:8]], 8
    while position + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, position)
        body = data[position + 4 : position + 8 + size]
        parts += data[position : position + 4], body, struct.pack(">I", zlib.crc32(body))
        position += 12 + size
    return b"".join(parts)


def _pictures():
    color = np.random.default_rng(0).integers(0, 256, (6, 5, 4), np.uint8)
    deep = color.astype(np.uint16) * 257
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif.get_ifd(0x8769)[0xA002] = 6, "A camera", 5
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        image = Image.fromarray(color).convert(mode)
        yield _saved(image, "PNG", exif=exif, icc_profile=b"profile", dpi=(72, 72))
        yield _saved(image, "TIFF", compression="tiff_lzw" if mode == "RGB" else "tiff_deflate")
    rgb = Image.fromarray(color[..., :3])
    for form in ("JPEG", "WEBP", "BMP", "GIF"):
        yield _saved(rgb, form, exif=exif)
    yield _saved(rgb, "JPEG", progressive=True)
    yield _saved(rgb.convert("CMYK"), "JPEG")
    yield _saved(rgb, "WEBP", lossless=True)
    yield from _pictures_with_metadata(color[..., :3])
    yield cv2.imencode(".png", deep)[1].tobytes()
    yield cv2.imencode(".tif", deep[..., :3], [cv2.IMWRITE_TIFF_COMPRESSION, 5])[1].tobytes()
    for pixels in (deep, deep[..., 0], (color[..., :3] / 255).astype(np.float32)):
        for compression in (None, "deflate"):
            file = io.BytesIO()
            kind = "rgb" if pixels.ndim == 3 else "minisblack"
            tifffile.imwrite(file, pixels, photometric=kind, compression=compression, metadata=None)
            yield file.getvalue()


def _large_pictures():
    """Yield pictures of 10 to 100 kB, with so much of one thing as shows what is quadratic."""
    color = np.random.default_rng(0).integers(0, 256, (60, 50, 3), np.uint8)
    rgb, exif = Image.fromarray(color), Image.Exif()
    exif[0x010F], exif[0x9286] = "A camera", bytes(5000)
    exif.get_ifd(0x8769).update({tag: "a text" for tag in range(0x9000, 0x9100)})
    yield _saved(rgb, "JPEG", progressive=True, quality=95, exif=exif, icc_profile=bytes(9000))
    yield _saved(rgb, "PNG", exif=exif, icc_profile=bytes(9000))
    yield _saved(rgb, "WEBP", lossless=True, exif=exif)
    for options in ({"rowsperstrip": 1}, {"tile": (16, 16)}, {"compression": "deflate"}):
        file = io.BytesIO()
        tifffile.imwrite(file, color, photometric="rgb", metadata=None, **options)
        yield file.getvalue()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.png")
        texts = ((b"zTXt", b"Title\0\0" + zlib.compress(b"a title")),) * 500
        write_image(path, Photo(color, xmp=_packet(), chunks=texts))
        yield path.read_bytes()
    yield from _repetitions(Image.fromarray(color[:8, :8]))


def _repetitions(image):
    """Yield small pictures with thousands of segments, tags, records, chunks, strips or pages."""
    jpeg = _saved(image, "JPEG", progressive=True)
    tags = [struct.pack("<HHI4s", 0x8000 + k, 2, 4, b"abc") for k in range(5000)]
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(tags) + bytes(4)
    records = b"\x1c\x02\x19\0\1a" * 10_000
    iptc = b"Photoshop 3.0\08BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records
    for kind, segments in ((0xE1, [exif]), (0xED, [iptc]), (0xFE, [b"text"] * 5000)):
        heads = (struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body for body in segments)
        yield jpeg[:2] + b"".join(heads) + jpeg[2:]
    png = _saved(image, "PNG")
    after_header = 33
    for kind, body in ((b"tEXt", b"a\0b"), (b"IDAT", b""), (b"abCd", b"")):
        chunk = (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )
        yield png[:after_header] + chunk * 1500 + png[after_header:]
    strips, pages = io.BytesIO(), io.BytesIO()
    tifffile.imwrite(strips, np.zeros((2000, 20), np.uint8), rowsperstrip=1, metadata=None)
    yield strips.getvalue()
    image.save(pages, "TIFF", save_all=True, append_images=[image] * 60)
    yield pages.getvalue()
    yield _saved(image, "MPO", save_all=True, append_images=[image] * 50)


def _pictures_with_metadata(color):
    everything = Photo(
        color,
        b"profile",
        xmp=_packet(),
        iptc=b"\x1c\x02\x78\0\1a",
        comment="a comment",
        chunks=((b"zTXt", b"Title\0\0" + zlib.compress(b"a title")), (b"gAMA", bytes(4))),
    )
    for form in (".png", ".jpg", ".tif", ".webp"):
        with tempfile.TemporaryDirectory() as folder:
            write_image(Path(folder, f"a{form}"), everything, software="software")
            yield Path(folder, f"a{form}").read_bytes()
    image = Image.fromarray(color)
    yield _saved(image, "MPO", save_all=True, append_images=[image])


def _read_image(path):
    """Read a picture that claims little more than its bytes can hold, so that the bound is low."""
    with mock.patch.object(photo, "SMALL_PIXELS", 1 << 16):
        return read_image(path)


def _packet():
    return updated(None, 5, 6, "software")


def _update(path):
    """Update a packet; one that is damaged is left out by who writes."""
    with suppress(ValueError):
        updated(path.read_bytes(), 5, 6, "software")


def _saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _weights():
    return {
        "body.0.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
        "body.0.bias": np.ones(3, np.float16),
        "step": 5,
    }


def _written(write, *states):
    with tempfile.TemporaryDirectory() as folder:
        for state in states:
            path = Path(folder, "file")
            path = write(path, state) or path
            yield path.read_bytes()


def _params():
    out = struct.pack("<QQQ", MAGIC, 0, 2)
    for axes in ((2, 3), (4,)):
        out += struct.pack(f"<Iii{len(axes)}qiii", 0xF993FAC9, 0, len(axes), *axes, 1, 0, 0)
        out += bytes(4 * np.prod(axes))
    names = [b"head.weight", b"head.bias"]
    out += struct.pack("<Q", 2) + b"".join(struct.pack("<Q", len(name)) + name for name in names)
    legacy = struct.pack("<QQQ3I3i", MAGIC, 0, 1, 2, 2, 1, 1, 0, 0) + bytes(8)
    return [out, legacy + struct.pack("<QQ", 1, 1) + b"a"]


def _torch7():
    conv = Layer("SpatialConvolution", weight=np.ones((2, 3)), bias=np.ones(2), kW=3, dW=1)
    net = Layer("Sequential", conv, Layer("ReLU"), Layer("ShaveImage", size=2))
    return [t7_bytes(net), t7_bytes({"model": net, "opt": {"preprocessing": "vgg", "x": True}})]


def _checkpoint(path, _=None):
    return write_checkpoint(path, {"a/W": np.ones((2, 3), "<f4"), "a/b": np.ones(2, "<f4")})


def _read_checkpoint(path):
    index = path.with_name("net.index")
    if not index.exists():
        _checkpoint(path.with_name("net"))
    path.replace(index)
    return read_tensorflow(index)


def _ncnn():
    """List nets as `_read_ncnn` takes them: the text, a zero, the arrays."""
    lines = (
        "7767517",
        "3 3",
        "Input data 0 1 data",
        "Convolution first 1 1 data a 0=2 1=3 5=1 6=54",
        "PReLU slope 1 1 a b 0=2",
    )
    half = struct.pack("<I", 0x01306B47) + bytes(108)
    text = "\n".join(lines).encode()
    return [text + bytes(1) + half + bytes(16), text + bytes(1) + bytes(4 + 216 + 16)]


def _read_ncnn(path):
    text, _, arrays = path.read_bytes().partition(b"\0")
    path.with_suffix(".param").write_bytes(text)
    path.with_suffix(".bin").write_bytes(arrays)
    return read_ncnn(path.with_suffix(".bin"))


def _npz(path, state):
    with open(path, "wb") as file:
        np.savez_compressed(file, **state)


def _keras(path, _):
    import h5py

    with h5py.File(path, "w", libver="latest") as file:
        file["block1_conv1/kernel"] = np.ones((3, 3, 1, 2), np.float32)
        file.create_dataset("block1_conv1/bias", data=np.ones(2), compression="gzip")
        file.attrs["layers"] = "block1_conv1"


def _bytes_of(file):
    return [(FOLDER / file).read_bytes()]


def _enhance_with(file):
    """Read a model folder in which one file is another; its card has the hash of that."""

    def read(path):
        folder = path.with_name("model")
        shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
        path.replace(folder / file)
        if file != "card.json":
            card = json.loads((folder / "card.json").read_text())
            digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
            card["files"][file] = {"sha256": digest}
            (folder / "card.json").write_text(json.dumps(card))
        # Small tiles, so that the image goes through in bands.
        enhancer = Enhancer(folder, "openvino", "fp32", tile=8, threads=1)
        enhancer(np.zeros((24, 8, 3), np.uint8))
        enhancer(np.zeros((5, 6), np.uint16))

    return read


def _safetensors(path, arrays):
    from safetensors.numpy import save_file

    save_file({key: np.asarray(array) for key, array in arrays.items()}, path, {"scale": "4"})


def _symbols():
    """List graphs of today's form and of the first."""
    variables = [{"op": "null", "name": name, "inputs": []} for name in ("data", "weight")]
    attrs = {"kernel": "(3, 3)", "pad": "(1, 1)", "num_filter": "3", "no_bias": "True"}
    inputs = [[0, 0, 0], [1, 0, 0]]
    conv = {"op": "Convolution", "name": "conv", "inputs": inputs}
    scaled = {"op": "_mul_scalar", "name": "half", "inputs": [[2, 0, 0]]}
    for key in ("attrs", "param"):
        nodes = [*variables, {**conv, key: attrs}, {**scaled, key: {"scalar": "0.5"}}]
        yield json.dumps({"nodes": nodes, "arg_nodes": [0, 1], "heads": [[3, 0, 0]]}).encode()


def _read_symbol(path):
    """Read a graph, and have MXNet read what is made of it, where its faults end the process."""
    text = read_graph(path)
    if is_mxnet_installed():
        from gluon_enhance.framework import mx

        with suppress(mx.MXNetError):
            mx.sym.load_json(text)


TARGETS = {
    "symbol": Target(lambda: list(_symbols()), _read_symbol, 200),
    # Beside the file, two copies of the pixels that it may claim to have.
    "image": Target(
        lambda: list(_pictures()),
        _read_image,
        8 * PIXELS_PER_BYTE,
        prepare=_png_with_checksums,
    ),
    "photo": Target(
        lambda: list(_large_pictures()),
        _read_image,
        8 * PIXELS_PER_BYTE,
        prepare=_png_with_checksums,
    ),
    "xmp": Target(lambda: [_packet()], _update, 500),
    "zip": Target(lambda: list(_written(write_zip, _weights(), [{}])), read_torch, 200),
    "legacy": Target(lambda: list(_written(write_legacy, _weights(), [{}])), read_torch, 200),
    "torch7": Target(_torch7, read_torch7, 200),
    "tensorflow": Target(lambda: list(_written(_checkpoint, {})), _read_checkpoint, 500),
    "ncnn": Target(_ncnn, _read_ncnn, 500),
    # GDAL holds blocks of at most so many times the file.
    "raster": Target(
        lambda: list(rasters.rasters()), rasters.read, PROPORTION, "file.tif", native=GDAL
    ),
    "vrt": Target(
        lambda: list(rasters.descriptions()), rasters.read_vrt, PROPORTION, "file.vrt", native=GDAL
    ),
    "safetensors": Target(
        lambda: list(_written(_safetensors, _weights(), {})), read_safetensors, 50
    ),
    "params": Target(_params, read_params, 20),
    "npz": Target(lambda: list(_written(_npz, _weights())), _read_npz, 50),
    "keras": Target(lambda: list(_written(_keras, {})), _read_keras, 50),
    **{
        name: Target(partial(_bytes_of, file), _enhance_with(file), 200, native=ENGINE)
        for name, file in (
            ("card", "card.json"),
            ("onnx", "net.onnx"),
            ("parts", "net.segments.zip"),
        )
    },
}
