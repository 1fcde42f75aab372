"""What users may give as a raster, opened: names, open datasets, memory, xarray."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Callable

from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, DatasetWriter, MemoryFile
from rasterio.vrt import WarpedVRT

from gluon_enhance.atomic import temporary_folder
from gluon_enhance.errors import GluonEnhanceError, ImageError
from gluon_enhance.rasters.raster import named, open_raster

BLOCK = 512
"""Side of the blocks of an array's file."""
DATASETS = (DatasetReader, DatasetWriter, WarpedVRT)


@contextmanager
def opened(raster, trust: bool = False) -> Iterator[DatasetReader]:
    """Give an open dataset of a raster, which is closed afterwards if it was not open.

    Parameters
    ----------
    raster : path, URL or name of what GDAL reads, open rasterio dataset, MemoryFile or DataArray
        The last is an ``xarray.DataArray`` after the conventions of rioxarray.
    trust : bool
        Open a name whatever it leads to; see `gluon_enhance.rasters.links`.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    if isinstance(raster, DATASETS):
        if raster.closed or raster.mode == "w":
            state = "closed" if raster.closed else "open for writing only"
            raise ImageError(f"dataset {raster.name} is {state}; open it for reading")
        dataset = nullcontext(raster)
    elif isinstance(raster, MemoryFile):
        with named("read", raster.name):
            dataset = raster.open()
    elif _is_data_array(raster):
        dataset = _of_array(raster)
    else:
        dataset = open_raster(raster, trust)
    with dataset as src, named("read", src.name):  # GDAL finds some faults late
        yield src


def check_shared(dataset) -> None:
    """Refuse a dataset that only this process sees, where workers are to read it."""
    in_memory = dataset.name.startswith("/vsimem/") or dataset.driver == "MEM"
    if in_memory or isinstance(dataset, WarpedVRT):
        raise ImageError(
            f"{dataset.name} is in the memory of this process, where workers do not see it; write "
            "it to a file"
        )


@contextmanager
def destination(out, raster) -> Iterator[tuple[Path, Callable[[], Any]]]:
    """Give the path to write to, and what then returns the result.

    Without an output an ``xarray.DataArray`` becomes one, by way of a temporary file.
    """
    if out is not None:
        yield Path(out), lambda: Path(out)
    elif _is_data_array(raster):
        with temporary_folder() as folder:
            path = Path(folder, "result.tif")
            yield path, lambda: _read_array(path, raster)
    else:
        raise ImageError("out is None, which only an xarray.DataArray goes with; name a .tif file")


def _is_data_array(raster):
    xarray = sys.modules.get("xarray")  # who has such an array has imported it
    if xarray and isinstance(raster, xarray.Dataset):
        raise ImageError(
            f"an xarray.Dataset has variables ({', '.join(map(str, raster))}); give one of them"
        )
    return bool(xarray) and isinstance(raster, xarray.DataArray)


def _rioxarray():
    try:
        import rioxarray
    except ImportError as error:
        raise GluonEnhanceError(
            "an xarray.DataArray needs rioxarray; pip install 'gluon-enhance[xarray]'"
        ) from error
    return rioxarray


@contextmanager
def _of_array(array):
    with _written(array) as path, open_raster(path, trust=True) as dataset:
        yield dataset


@contextmanager
def _written(array) -> Iterator[Path]:
    """Give a temporary GeoTIFF of an array, which may be lazy and larger than the memory."""
    failures = (_rioxarray().exceptions.RioXarrayError, RasterioError, TypeError, ValueError)
    name = str(array.name or "DataArray")
    with temporary_folder() as folder:
        path = Path(folder, f"{name.replace('/', '_')}.tif")
        try:
            array.rio.to_raster(path, driver="GTiff", windowed=True, **_layout(array))
        except failures as error:
            raise ImageError(f"{name} cannot be taken for a raster: {error}") from error
        yield path


def _layout(array):
    """Return creation options in place of those of the file that an array was read from.

    They might lose something, and strips would be many windows.
    """
    is_rgb = array.rio.count in (3, 4) and array.dtype == "uint8"  # as GDAL takes them
    return {
        "bigtiff": "if_safer",
        "compress": "deflate",
        "photometric": "rgb" if is_rgb else "minisblack",
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
    }


def _read_array(path, like):
    """Read a raster as an array that has the conventions of another: names, coordinates, holes."""
    masked = like.rio.encoded_nodata is not None
    scaled = not {"scale_factor", "scales"}.isdisjoint(like.encoding)
    with _rioxarray().open_rasterio(path, masked=masked, mask_and_scale=scaled) as lazy:
        array = lazy.load()
    names = {"x": like.rio.x_dim, "y": like.rio.y_dim}
    others = [dim for dim in like.dims if dim not in names.values()]
    if others:
        names["band"] = others[0]
        array = array.drop_vars("band")
    else:
        array = array.squeeze("band", drop=True)
    array = array.rename({own: name for own, name in names.items() if own != name})
    for name in set(names.values()) & set(like.coords):
        if name in others:
            array = array.assign_coords({name: like[name]})
        else:
            array[name].attrs.update(like[name].attrs)  # they tell which axis is which
    return array.rename(like.name)
