"""What the training scripts share: options, devices, steps, the loop, checkpoints and validation.

Nets, losses and data sets come from the scripts. Two modules know a little more: `style` takes Gram
matrices of features, and `steps` has nets compute in the form that trains fastest.
"""
