"""Dask's workers, on this machine."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio

pytest.importorskip("distributed", reason="Dask is not installed")

import distributed  # noqa: E402

import gluon_enhance as ge  # noqa: E402
from gluon_enhance import cluster as clusters  # noqa: E402
from gluon_enhance.cluster import Cluster, ModelCluster, _absolute_name  # noqa: E402
from gluon_enhance.commands.jobs import Job  # noqa: E402
from gluon_enhance.commands.pipeline import PhotoWork, run_on  # noqa: E402
from gluon_enhance.errors import GluonEnhanceError, ImageError  # noqa: E402
from gluon_enhance.photos import Photo, read_image, write_image  # noqa: E402
from gluon_enhance.rasters import match, plan  # noqa: E402
from gluon_enhance.rasters.compute import compute_part  # noqa: E402
from gluon_enhance.rasters.enhance import enhance_raster  # noqa: E402
from gluon_enhance.rasters.match import match_rasters  # noqa: E402

MODEL = "rrdb_lite_x4"
OPTIONS = {"precision": "fp32", "tile": 64}
PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 0, 0, -10, 0)}


@pytest.fixture(scope="module")
def cluster():
    with ModelCluster("local:2", MODEL, OPTIONS) as cluster:
        yield cluster


@pytest.fixture
def source(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(plan, "PART_SAMPLES", 1)
    bands = rng.integers(0, 255, (3, 100, 200)).astype(np.uint8)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": 100, "width": 200}
    with rasterio.open(tmp_path / "in.tif", "w", **PLACE, **profile) as out:
        out.write(bands)
    return tmp_path / "in.tif"


def process_of(item, enhancer):
    return os.getpid(), id(enhancer)


def affinities(item, enhancer):
    """Tell to which cores the threads of this process may go while the net runs."""
    run = threading.Thread(target=enhancer.run, args=(np.zeros((1, 3, 96, 96), np.float32),))
    run.start()
    seen = set()
    while run.is_alive():
        for thread in map(int, os.listdir("/proc/self/task")):
            with suppress(ProcessLookupError):
                seen.add(frozenset(os.sched_getaffinity(thread)))
    return seen


def counted(folder, last, item, enhancer):
    """Leave a file for each execution; the last item is slow, and at first kills its worker."""
    runs = len(list(folder.glob(f"{item}-*")))
    (folder / f"{item}-{runs}").touch()
    if item == last:
        time.sleep(1)
        if runs == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return item * 10


def overlap(folder, item, enhancer):
    """Tell how many run at once on this worker."""
    own = folder / str(item)
    own.touch()
    time.sleep(0.05)
    count = len(list(folder.iterdir()))
    own.unlink()
    return count


def wait(item):
    time.sleep(0.2)
    return item


def fail(item, enhancer):
    raise ImageError(f"item {item} cannot be read")


def test_model_is_loaded_once_on_each_worker(cluster):
    seen = dict(result for _, result in cluster.run(process_of, range(20)))
    assert 1 <= len(seen) <= 2 and os.getpid() not in seen
    assert (
        len({result for _, result in cluster.run(process_of, range(20))} | set(seen.items())) <= 2
    )


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="the kernel is not Linux")
def test_workers_of_one_machine_are_not_tied_to_the_same_cores(cluster):
    own = {frozenset(os.sched_getaffinity(0))}
    assert all(result == own for _, result in cluster.run(affinities, range(4)))


def test_workers_of_one_machine_listen_to_it_alone(cluster):
    """Who reaches a scheduler, or a worker, can have it run code."""
    psutil = pytest.importorskip("psutil")
    own = psutil.Process()
    places = {
        connection.laddr.ip
        for process in (own, *own.children(recursive=True))
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert places == {"127.0.0.1"}


def test_raster_equals_the_local_run_bit_for_bit(cluster, source, tmp_path):
    enhancer, seen = ge.Enhancer(MODEL, threads=1, **OPTIONS), []
    enhance_raster(source, tmp_path / "local.tif", enhancer)
    enhance_raster(
        source,
        tmp_path / "cluster.tif",
        enhancer,
        run=cluster.run,
        progress=lambda *counts: seen.append(counts),
    )
    assert (tmp_path / "cluster.tif").read_bytes() == (tmp_path / "local.tif").read_bytes()
    assert seen == [(k + 1, 8) for k in range(8)]


def test_a_killed_worker_costs_the_item_it_had_and_no_finished_one(cluster, tmp_path):
    results = dict(cluster.run(partial(counted, tmp_path, 11), range(12)))
    assert results == {k: k * 10 for k in range(12)}
    runs = [len(list(tmp_path.glob(f"{k}-*"))) for k in range(12)]
    assert runs == [1] * 11 + [2]


def test_raster_is_the_same_when_a_worker_is_killed_and_finished_parts_stay(
    cluster, source, tmp_path
):
    enhancer = ge.Enhancer(MODEL, threads=1, **OPTIONS)
    enhance_raster(source, tmp_path / "local.tif", enhancer)
    pid, _ = next(result for _, result in cluster.run(process_of, [0]))
    before, after = {}, {}

    def run(compute, indices):
        (plan,) = compute.args
        for done in cluster.run(compute, indices):
            yield done
            if not before and len(stamps(plan)) >= 5:
                before.update(stamps(plan))
                os.kill(pid, signal.SIGKILL)
        after.update(stamps(plan))

    enhance_raster(source, tmp_path / "cluster.tif", enhancer, run=run)
    assert (tmp_path / "cluster.tif").read_bytes() == (tmp_path / "local.tif").read_bytes()
    assert len(before) < len(after) == 8 and before.items() <= after.items()


@pytest.fixture(params=["uint16", "float32"])
def scenes(request, tmp_path, rng, monkeypatch):
    """Two rasters of many windows and of more values than are kept of floats, one with a mask."""
    monkeypatch.setattr(match, "SAMPLES", 3 * 32 * 64)
    monkeypatch.setattr(match, "GROUP", 2)
    monkeypatch.setattr("gluon_enhance.imaging.quantiles.LIMIT", 1000)
    profile = {"driver": "GTiff", "dtype": request.param, "count": 3, "height": 150, "width": 200}
    layout = {"tiled": True, "blockxsize": 32, "blockysize": 32, **PLACE}
    for name in ("scene", "other"):
        bands = rng.integers(1, 60000, (3, 150, 200)) / (1 if request.param == "uint16" else 7e4)
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(tmp_path / f"{name}.tif", "w", **profile, **layout) as out,
        ):
            out.write(bands.astype(request.param))
            if name == "scene":
                out.write_mask(rng.random((150, 200)) < 0.9)
    return tmp_path / "scene.tif", tmp_path / "other.tif"


def test_match_equals_the_local_run_bit_for_bit_when_a_worker_is_killed(cluster, scenes, tmp_path):
    pid, _ = next(result for _, result in cluster.run(process_of, [0]))
    (out := tmp_path / "out").mkdir()
    seen = []

    def run(function, items):
        for result in Cluster.run(cluster, function, items):
            yield result
            seen.append(result)
            if len(seen) == 12:  # of 12 groups that are counted, and of 24 windows
                os.kill(pid, signal.SIGKILL)

    curves = match_rasters(*scenes, out / "local.tif")
    others = match_rasters(*scenes, out / "cluster.tif", run=run)
    assert len(seen) > 30
    assert (out / "cluster.tif").read_bytes() == (out / "local.tif").read_bytes()
    assert all(np.array_equal(a, b) for a, b in zip(arrays(curves), arrays(others)))
    assert {path.name for path in out.iterdir()} == {"local.tif", "cluster.tif"}


def arrays(curves):
    return [array for own in curves.values() for curve in own for array in curve]


def test_an_error_of_a_match_leaves_nothing(cluster, scenes, tmp_path):
    (out := tmp_path / "out").mkdir()

    def run(function, items):
        for index, result in Cluster.run(cluster, function, items):
            if result is None and index == 3:
                raise ImageError("window 3 cannot be read")
            yield index, result

    with pytest.raises(ImageError, match="window 3 cannot be read"):
        match_rasters(*scenes, out / "cluster.tif", run=run)
    assert not list(out.iterdir())


def stamps(plan):
    return {path.name: path.stat().st_mtime_ns for path in Path(plan.folder).glob("0*.tif")}


def test_a_part_that_is_there_is_not_computed_again(source, tmp_path):
    def run(compute, indices):
        (plan,) = compute.args
        compute_part(plan, 0, enhancer)
        compute(0, None)
        return enumerate(compute(index, enhancer) for index in indices)

    enhancer = ge.Enhancer(MODEL, threads=1, **OPTIONS)
    enhance_raster(source, tmp_path / "out.tif", enhancer, run=run)


def test_a_worker_of_several_threads_runs_its_model_in_one(tmp_path):
    workers = distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=":0")
    with workers, ModelCluster(workers.scheduler_address, MODEL, OPTIONS) as cluster:
        counts = dict(cluster.run(partial(overlap, tmp_path), range(6)))
    assert counts == dict.fromkeys(range(6), 1)


def test_photos_named_from_here_reach_workers_in_other_folders(
    cluster, tmp_path, picture, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_image("photo.png", Photo(picture))
    Path("bad.png").write_bytes(b"no picture")
    shared = {"enhancer": None, "watched": nullcontext, "outscale": 4}
    shared.update(match_colors=False, skip_existing=False)
    works = [
        PhotoWork(Job(Path(f"{name}.png"), Path("out", f"{name}.png")), **shared)
        for name in ("photo", "bad")
    ]
    reports = sorted(run_on(cluster, works, None), key=lambda report: report["input"])
    assert [report["input"] for report in reports] == ["bad.png", "photo.png"]
    assert [report["output"] for report in reports] == [
        f"out{os.sep}{n}.png" for n in ("bad", "photo")
    ]
    assert reports[0]["error"].startswith("bad.png is no PNG")
    assert reports[1]["status"] == "done"
    assert read_image("out/photo.png").pixels.shape == (244, 188, 3)


def test_models_named_from_here_are_found_in_other_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    here = str(tmp_path)
    assert _absolute_name("./mine") == os.path.join(here, "mine")
    assert _absolute_name("rrdb_lite_x4") == "rrdb_lite_x4"
    assert _absolute_name("rrdb_x4=own.params") == f"rrdb_x4={os.path.join(here, 'own.params')}"
    net = os.path.join(here, "net-symbol.json")
    assert (
        _absolute_name("net-symbol.json") == net
        and _absolute_name("net-symbol.json=0,255") == f"{net}=0,255"
    )


@contextmanager
def scheduler():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--port", port, "--no-dashboard"], stderr=subprocess.PIPE, text=True
    )
    while "Scheduler at" not in process.stderr.readline():
        assert process.poll() is None
    try:
        yield process, f"tcp://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def test_a_scheduler_without_workers_is_named(monkeypatch):
    monkeypatch.setattr(clusters, "TIMEOUT", 1)
    with scheduler() as (_, address):
        message = f"{address} has no worker; start some: dask worker {address} --nthreads 1"
        with pytest.raises(GluonEnhanceError, match=message):
            Cluster(address)


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(clusters, "TIMEOUT", 1)
    with pytest.raises(GluonEnhanceError, match="no Dask scheduler answers at tcp://127.0.0.1:9: "):
        Cluster("tcp://127.0.0.1:9")


def test_a_scheduler_that_dies_is_named_and_says_how_to_go_on(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))  # of `wait`
    with scheduler() as (process, address):
        worker = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-dashboard"]
            + ["--nthreads", "1", "--no-nanny"],
            stderr=subprocess.DEVNULL,
        )
        try:
            with (
                Cluster(address) as cluster,
                pytest.raises(GluonEnhanceError, match=f"{address} is gone; .* --resume"),
            ):
                for _ in cluster.run(wait, range(9)):
                    process.kill()
        finally:
            worker.kill()
            worker.wait()


def test_an_error_of_a_worker_arrives_as_it_is(cluster):
    with pytest.raises(ImageError, match=r"item \d cannot be read"):
        list(cluster.run(fail, range(3)))


@pytest.mark.parametrize("address", ["local:0", "local:two"])
def test_wrong_addresses_are_named(address):
    with pytest.raises(GluonEnhanceError, match=f"cluster is '{address}'; give local:N"):
        Cluster(address)
