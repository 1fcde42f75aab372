"""What GDAL says while a command works."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm.contrib.logging import logging_redirect_tqdm

from gluon_enhance.errors import PrintableFormatter

GDAL = logging.getLogger("rasterio._env")
"""Where rasterio logs what GDAL says; without handlers nobody sees it."""


@contextmanager
def gdal_heard() -> Iterator[None]:
    """Write GDAL's warnings, each once, and the package's to standard error, around bars."""
    said: set[str] = set()

    def is_new(record):
        text = re.sub(r"^CPLE_\w+ in ", "", record.getMessage())
        record.msg, record.args = f"GDAL: {text}", ()
        is_known = text in said
        said.add(text)
        return not is_known

    is_heard = bool(logging.getLogger().handlers)  # by rio's, or of who has set up logging
    loggers = [logging.getLogger("gluon_enhance"), *([] if is_heard else [GDAL])]
    others = {handler for logger in loggers for handler in logger.handlers}
    with logging_redirect_tqdm(loggers):
        for handler in {handler for logger in loggers for handler in logger.handlers} - others:
            handler.setFormatter(PrintableFormatter())
        for handler in [] if is_heard else GDAL.handlers:
            handler.addFilter(is_new)  # the handler's own: the logger's others hear all
        yield
