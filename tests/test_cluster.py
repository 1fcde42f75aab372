"""Dask's workers, on this machine."""

import os
import signal
import time
from functools import partial

import numpy as np
import pytest
import rasterio

pytest.importorskip("distributed", reason="Dask is not installed")

import gluon_enhance as ge  # noqa: E402
from gluon_enhance.cluster import Cluster  # noqa: E402
from gluon_enhance.errors import GluonEnhanceError, ImageError  # noqa: E402
from gluon_enhance.geotiff import enhancing  # noqa: E402
from gluon_enhance.geotiff.enhancing import enhance_raster  # noqa: E402

MODEL = "rrdb_lite_x4"
OPTIONS = {"precision": "fp32", "tile": 64}


@pytest.fixture(scope="module")
def cluster():
    with Cluster("local:2", MODEL, OPTIONS) as cluster:
        yield cluster


@pytest.fixture
def source(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(enhancing, "PART_SAMPLES", 1)
    bands = rng.integers(0, 255, (3, 100, 200)).astype(np.uint8)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": 100, "width": 200}
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 0, 0, -10, 0)}
    with rasterio.open(tmp_path / "in.tif", "w", **place, **profile) as out:
        out.write(bands)
    return tmp_path / "in.tif"


def process_of(item, enhancer):
    return os.getpid(), id(enhancer)


def die_once(path, item, enhancer):
    if item == 2 and not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return item * 10


def fail(item, enhancer):
    raise ImageError(f"item {item} cannot be read")


def test_model_is_loaded_once_on_each_worker(cluster):
    seen = dict(result for _, result in cluster.run(process_of, range(20)))
    assert 1 <= len(seen) <= 2 and os.getpid() not in seen
    assert (
        len({result for _, result in cluster.run(process_of, range(20))} | set(seen.items())) <= 2
    )


def test_raster_equals_the_local_run_bit_for_bit(cluster, source, tmp_path):
    enhancer, seen = ge.Enhancer(MODEL, threads=1, **OPTIONS), []
    enhance_raster(source, tmp_path / "local.tif", enhancer)
    enhance_raster(
        source,
        tmp_path / "cluster.tif",
        enhancer,
        compute=cluster.compute_parts,
        progress=lambda *counts: seen.append(counts),
    )
    assert (tmp_path / "cluster.tif").read_bytes() == (tmp_path / "local.tif").read_bytes()
    assert seen == [(k + 1, 8) for k in range(8)]


def test_a_killed_worker_costs_its_own_work_only(cluster, tmp_path):
    results = dict(cluster.run(partial(die_once, str(tmp_path / "died")), range(8)))
    assert results == {k: k * 10 for k in range(8)}
    assert (tmp_path / "died").exists()


def test_an_error_of_a_worker_arrives_as_it_is(cluster):
    with pytest.raises(ImageError, match=r"item \d cannot be read"):
        list(cluster.run(fail, range(3)))


@pytest.mark.parametrize("address", ["local:0", "local:two"])
def test_wrong_addresses_are_named(address):
    with pytest.raises(GluonEnhanceError, match=f"cluster is '{address}'; give local:N"):
        Cluster(address, MODEL, {})
