"""The networks, one file per paper; the blocks that several papers share lie beside them."""
