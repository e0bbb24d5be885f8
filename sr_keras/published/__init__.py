"""Networks published by others: their checkpoints, read and written.

A checkpoint is recognized by the names and shapes of its tensors. Reading it never
executes code from the file. `sr_keras.models.load` builds the network that a checkpoint
belongs to, with its weights; `save` writes one of this package's networks as a
checkpoint that the original PyTorch code loads.
"""

from sr_keras.published.checkpoint import SUFFIXES, read_checkpoint, write_checkpoint
from sr_keras.published.layout import Layout, assign, tensors_of
from sr_keras.published.networks import layout_for, recognize


def save(model, path):
    """Writes a network as a `.safetensors` file, as its original PyTorch code names it.

    The names and the order of channels are those of the authors' code, so that it can
    load the file, and `sr_keras.models.load` as well. Not everything about a network is
    in such a file: the code that loads it has to know the number of blocks and other
    arguments, and in the files of EDSR, RCAN, RDN, RLFN and SPAN images have values in
    [0, 255] inside the network, as their authors' have.

    Args:
        model: A network that one of these builders made: `edsr`, `rcan`, `rdn`,
            `rlfn`, `rrdb`, `span`, `srresnet` with `variant="modified"`, `srvgg` or
            `swinir`.
        path: Where to write; must end in `.safetensors`.

    Raises:
        ValueError: If there is no published format for such a network, or a
            file of it would not tell its configuration.
        ImportError: If the package safetensors is missing.
    """
    identity = getattr(model, "identity", None)
    if identity is None:
        raise ValueError(
            "`model` must be a network that a builder of this package made. Received:"
            f" {model}"
        )
    layout = layout_for(identity["network"], identity["config"])
    tensors = tensors_of(model, layout)
    found = recognize(tensors)
    if found.config != layout.config:
        other = {k: v for k, v in found.config.items() if layout.config.get(k) != v}
        raise ValueError(
            f"A checkpoint of {layout.network} would not tell its configuration, and be"
            f" read with {other}. Received: {layout.config}"
        )
    write_checkpoint(tensors, path)


__all__ = [
    "SUFFIXES",
    "Layout",
    "assign",
    "layout_for",
    "read_checkpoint",
    "recognize",
    "save",
    "tensors_of",
    "write_checkpoint",
]
