"""Blocks that compute the same by different operators, and which of these a net has.

``plain``
    What a net has unless told otherwise: MXNet's own operators, one for each layer, which its
    exporters, other programs and readers of a traced graph know.
``fast``
    What oneDNN computes soonest, forward and backward: for training and for engine mxnet.
``exporting``
    As plain, with norms that engines know as one operator; see `gluon_enhance.models.layers.norms`.
"""

from contextlib import contextmanager

PLAIN, FAST, EXPORTING = "plain", "fast", "exporting"


def set_form(net, form):
    """Have a net's blocks compute by the operators of this form from now on.

    Parameters
    ----------
    net : Block
        Of other blocks than ours it stays as it is.
    form : {'plain', 'fast', 'exporting'}
    """
    _set(net, lambda block: form)


def needs_whole_image(net) -> bool:
    """Tell whether a net takes statistics of the whole image, which tiles do not have."""
    found = []
    net.apply(lambda block: found.append(getattr(block, "needs_whole_image", False)))
    return any(found)


@contextmanager
def in_form(net, form):
    """Have a net's blocks compute by the operators of this form for a while."""
    former = {}
    net.apply(lambda block: former.update({block: getattr(block, "form", None)}))
    set_form(net, form)
    try:
        yield
    finally:
        _set(net, former.get)


def _set(net, form_of):
    def visit(block):
        if hasattr(block, "form"):
            block.form = form_of(block)
        if hasattr(block, "_clear_cached_op"):
            block._clear_cached_op()  # the graph of the other form

    net.apply(visit)
