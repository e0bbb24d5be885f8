"""Networks with the weights that others published."""

from sr_keras import published
from sr_keras.models.network import NETWORKS


def load_published(path):
    """Builds the network that a published checkpoint belongs to, with its weights.

    The architecture, the number and width of its blocks and its scale are recognized
    from the names and shapes of the tensors. Supported are the files of

    - EDSR and RCAN, of their authors and of BasicSR;
    - RDN, of its authors (images in [0, 255]) and of later code (in [0, 1]);
    - ESRGAN and Real-ESRGAN, with their old and new names: `rrdb` for the large
      networks, `srvgg` for the compact ones;
    - MSRResNet of BasicSR, which is `srresnet(variant="modified")`;
    - SPAN, with or without the factors of its convolutions, and RLFN;
    - SwinIR for upscaling.

    The factor on the residual branches is not in a file of EDSR. It is 0.1 for 256
    filters, and 1 for fewer, as in the networks of its authors.

    Args:
        path: Path of a file that `sr_keras.published.read_checkpoint` reads.

    Returns:
        A `models.Network`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read, its architecture is not known, or its
            tensors do not fit it.
        ImportError: If a package is missing that the format needs.
    """
    tensors = published.read_checkpoint(path)
    try:
        layout = published.recognize(tensors)
    except ValueError as error:
        raise ValueError(
            f"{path} is not a network that can be loaded. {error}"
        ) from error
    try:
        model = NETWORKS[layout.network](**layout.config)
        published.assign(model, tensors, layout)
    except ValueError as error:
        raise ValueError(f"{path} does not fit {layout.network}: {error}") from error
    return model
