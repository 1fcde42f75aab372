"""Readers of weight files, none of which runs code from a file; each is imported when it reads."""

METADATA = "__metadata__"
"""The entry of what a reader returns that holds a file's texts."""

READERS = {
    "gluon": "read_params",
    "torch": "read_torch",
    "torch7": "read_torch7",
    "tensorflow": "read_tensorflow",
    "ncnn": "read_ncnn",
    "safetensors": "read_safetensors",
}
"""Module -> its function, which takes a path and returns the arrays by name."""

SUFFIXES = {
    ".params": "gluon",
    ".pth": "torch",
    ".pt": "torch",
    ".ckpt": "torch",
    ".safetensors": "safetensors",
    ".t7": "torch7",
    ".index": "tensorflow",
    ".bin": "ncnn",
}
"""Suffix of a file, in lower case -> the module that reads it."""
