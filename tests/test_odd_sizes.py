"""Images of sizes that a net's strides do not divide: everything gives what the HybridBlock gives.

That is what the authors' code does: no layer of theirs asks for a multiple, and none is padded to.
"""

import json
from dataclasses import asdict

import numpy as np
import pytest
import rasterio

pytest.importorskip("mxnet", reason="MXNet is not installed: the nets under test are made with it")

from gluon_enhance import Enhancer, zoo  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402
from gluon_enhance.rasters.enhance import enhance_raster  # noqa: E402

NAMES = {"instance": "style_wave", "batch": "style_the_wave_eccv16"}
"""Norm -> a model that has it: the first needs the whole image, the second is tiled."""


def saved(norm, folder):
    """A style net of few channels whose norms do something, and what names its weights."""
    mx.random.seed(0)
    net = zoo.get_model(NAMES[norm], channels=4)
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros((1, 3, 48, 48)))
    rng = np.random.default_rng(0)
    for name, parameter in net.collect_params().items():
        if name.endswith(("gamma", "beta", "running_mean", "running_var")):
            parameter.set_data(mx.nd.array(rng.uniform(0.5, 1.5, parameter.shape)))
    net.save_parameters(str(folder / f"{NAMES[norm]}.params"))
    (folder / "card.json").write_text(json.dumps(asdict(net.spec)))
    return net, f"{NAMES[norm]}={folder / NAMES[norm]}.params"


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    return tmp_path_factory.mktemp("converted")


@pytest.fixture(autouse=True)
def nets_are_converted_once(no_settings_from_outside, converted, monkeypatch):
    monkeypatch.setenv("MXNET_HOME", str(converted))


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    return saved("instance", tmp_path_factory.mktemp("instance"))


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    return saved("batch", tmp_path_factory.mktemp("batch"))


def made_of(net, image):
    """What the HybridBlock makes of an image (H, W, 3) in [0, 1]."""
    planes = mx.nd.array(image.transpose(2, 0, 1)[None])
    return np.clip(net(planes)[0].asnumpy().transpose(1, 2, 0), 0, 1)


def sloped(height, width):
    """An image whose statistics change from part to part."""
    image = np.random.default_rng(0).random((height, width, 3), np.float32)
    return image * np.linspace(0.2, 1, height, dtype=np.float32)[:, None, None]


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "mxnet"])
@pytest.mark.parametrize("norm", NAMES)
def test_whole_images(norm, engine, request):
    net, model = request.getfixturevalue(norm)
    image = sloped(43, 54)
    result = Enhancer(model, engine=engine, precision="fp32")(image)
    assert np.abs(result - made_of(net, image)).max() < 1e-4


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_bands(engine, instance):
    net, model = instance
    image = sloped(119, 86)
    result = Enhancer(model, engine=engine, precision="fp32", tile=48)(image)
    assert np.abs(result - made_of(net, image)).max() < 1 / 255


def test_tiles(batch):
    net, model = batch
    image = sloped(163, 142)
    result = Enhancer(model, engine="mxnet", tile=20)(image)
    assert np.abs(result - made_of(net, image)).max() < 1 / 255


@pytest.mark.parametrize(
    "norm, tile, size", [("instance", 48, (119, 86)), ("batch", 20, (131, 163))]
)
def test_rasters(norm, tile, size, request, tmp_path):
    net, model = request.getfixturevalue(norm)
    image = np.rint(sloped(*size) * 255).astype(np.uint8)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "crs": "EPSG:32633"}
    place = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
    profile.update(height=size[0], width=size[1], transform=place)
    with rasterio.open(tmp_path / "in.tif", "w", **profile) as file:
        file.write(image.transpose(2, 0, 1))
    enhance_raster(
        tmp_path / "in.tif", tmp_path / "out.tif", Enhancer(model, "onnxruntime", tile=tile)
    )
    with rasterio.open(tmp_path / "out.tif") as file:
        result = file.read().transpose(1, 2, 0)
    assert np.abs(result - 255 * made_of(net, image / np.float32(255))).max() < 1.5


def test_shipped_models_whose_parts_are_of_multiples_of_8():
    image = sloped(126, 117)
    result = Enhancer("style_wave", precision="fp32", tile=80)(image)
    net = zoo.get_model("style_wave", pretrained=True)
    assert np.abs(result - made_of(net, image)).max() < 1 / 255
