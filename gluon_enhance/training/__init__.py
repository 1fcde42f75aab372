"""The engine of the training scripts: options, devices, steps, loop, checkpoints and validation.

`recipe` puts these together for a script, which brings its paper's nets, losses and numbers.
"""
