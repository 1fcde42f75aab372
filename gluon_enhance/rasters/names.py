"""Names of what GDAL opens and no plain file is: URLs, archives, parts of files.

They must stay text, as `pathlib.Path` makes one slash of two.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath

TIFF = (".tif", ".tiff")
"""Suffixes."""

#: ``/vsizip/...``, ``https://...``, ``NETCDF:"file":variable``; one letter is a drive of Windows.
_DATASET = re.compile(r"/vsi\w+[/?]|[A-Za-z][\w.+-]+:")
_URL = re.compile(r"[\w.+-]+://")
#: What may stand before the path of a file in such a name.
_HEAD = re.compile(r'(?:/vsi(?:zip|tar|gzip|7z|rar|sparse)/|(?:zip|tar|gzip)://|[\w.+-]{2,}:"?)*')


def is_dataset_name(text: str) -> bool:
    """Tell whether a name is of no plain file, by how it is written."""
    return bool(_DATASET.match(text))


def stem_of(name: str) -> str:
    """Return what to call a file that is made of a dataset.

    Examples
    --------
    >>> stem_of("https://host:8080/tiles/scene.tif?key=1"), stem_of('NETCDF:"d/sst.nc":analysed')
    ('scene', 'sst_analysed')
    """
    if _URL.match(name) or name.startswith("/vsi"):
        texts = [re.split(r"[?#]", name)[0]]
    else:
        texts = re.findall(r'"[^"]*"|[^":]+', name)[1:]
    stems = (PurePosixPath(re.split(r"[/\\!]", text.strip('"/'))[-1]).stem for text in texts)
    return re.sub(r"[^\w.-]+", "_", "_".join(filter(None, stems))) or "raster"


def suffix_of(name: str) -> str:
    """Return how the path of a URL, or in an archive, ends, in lower case.

    Examples
    --------
    >>> suffix_of("https://host:8080/tiles/scene.TIF?key=1"), suffix_of("zip://a.zip!deep/b.vrt")
    ('.tif', '.vrt')
    """
    return PurePosixPath(re.split(r"[/\\!]", re.split(r"[?#]", name)[0])[-1]).suffix.lower()


def absolute_name(name: str) -> str:
    """Return what opens a dataset in any folder: a path in its name made absolute.

    Examples
    --------
    >>> absolute_name("/vsis3/bucket/scene.tif")
    '/vsis3/bucket/scene.tif'
    """
    if os.path.exists(name):
        return os.path.abspath(name)
    head = _HEAD.match(name)[0]
    path = name[len(head) :]
    first = re.split(r'[/:!"]', path)[0]
    return head + os.path.join(os.getcwd(), path) if first and os.path.exists(first) else name
