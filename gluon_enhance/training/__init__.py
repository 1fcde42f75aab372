"""What the training scripts share: options, devices, steps, the loop, checkpoints and validation.

Nets, losses and data sets come from the scripts. What knows more is said where it stands: the step
of style transfer takes Gram matrices of features, and steps have nets compute in their fast form.
"""
