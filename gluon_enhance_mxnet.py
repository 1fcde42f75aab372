"""Have ``import mxnet`` work with NumPy from 1.24 on and Python 3.12, where parts of both are gone.

MXNet 1.9.1 reads ``numpy.bool``, which left in NumPy 1.24, and ``distutils``, which left in Python
3.12. Whoever imports this can import MXNet; ``gluon_enhance_mxnet.pth``, installed with
gluon-enhance, does so where Python starts. It costs nothing until MXNet is imported.
"""

import sys
from importlib.machinery import PathFinder


class _BeforeMXNet:
    """Finds no module itself, but is asked first: where MXNet is to be imported, it prepares."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "mxnet" and PathFinder.find_spec(name):
            _prepare()


def _prepare():
    import numpy

    if "bool" not in vars(numpy):
        numpy.bool = numpy.bool_
    if sys.version_info >= (3, 12):
        import setuptools  # noqa: F401  puts its own distutils in place


sys.meta_path.insert(0, _BeforeMXNet)
