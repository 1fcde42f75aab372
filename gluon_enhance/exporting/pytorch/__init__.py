"""Our nets in PyTorch, a file for each of `gluon_enhance.models`, that export copies to weights.

A copy runs with torch and safetensors alone, so these files import nothing of the package, and each
has its own `load`. RRDBNet and SRVGGNetCompact have none: spandrel and BasicSR load their weights.
"""
