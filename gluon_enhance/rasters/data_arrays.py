"""``xarray.DataArray`` to and from GeoTIFF, by rioxarray and after its conventions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rasterio.errors import RasterioError

from gluon_enhance.atomic import temporary_folder
from gluon_enhance.errors import GluonEnhanceError, ImageError

BLOCK = 512
"""Side, in pixels, of the blocks of an array's file."""


@contextmanager
def written_array(array) -> Iterator[Path]:
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


def read_array(path, like):
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


def _rioxarray():
    try:
        import rioxarray
    except ImportError as error:
        raise GluonEnhanceError(
            "an xarray.DataArray needs rioxarray; pip install 'gluon-enhance[xarray]'"
        ) from error
    return rioxarray


def _layout(array):
    """Return creation options in place of those of the file that an array was read from.

    Those might lose something, and would lay the file out in rows, which are many windows.
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
