"""Networks, one file per paper. Every builder returns a functional model.

`NETWORKS` has the builders by name, `CATALOGUE` their papers and costs, and `load`
builds a network with trained weights. The decorator `register` adds a builder of your
own.
"""

import fnmatch
import pathlib

from sr_keras import published, weights
from sr_keras.checks import check_name, is_reference
from sr_keras.models.autoencoder import autoencoder
from sr_keras.models.blending import blend
from sr_keras.models.catalogue import CATALOGUE, mult_adds
from sr_keras.models.dbpn import dbpn
from sr_keras.models.denoiser import denoiser, denoiser_upscaler
from sr_keras.models.discriminators import (
    feature_discriminator,
    patchgan,
    srfeat_discriminator,
    srgan_discriminator,
    unet_discriminator,
    vgg_discriminator,
)
from sr_keras.models.edsr import edsr
from sr_keras.models.espcn import espcn
from sr_keras.models.fsrcnn import fsrcnn
from sr_keras.models.interpolation import bicubic, bilinear, nearest
from sr_keras.models.lapsrn import lapsrn
from sr_keras.models.network import (
    NETWORKS,
    Network,
    find_builder,
    load_published,
    register,
    scale_of,
)
from sr_keras.models.on_luma import on_luma
from sr_keras.models.rcan import rcan
from sr_keras.models.rdn import rdn
from sr_keras.models.rlfn import rlfn
from sr_keras.models.rrdb import rrdb
from sr_keras.models.span import fold, span
from sr_keras.models.srcnn import srcnn
from sr_keras.models.srresnet import srresnet
from sr_keras.models.srvgg import srvgg
from sr_keras.models.stacked_hourglass import stacked_hourglass
from sr_keras.models.swinir import swinir
from sr_keras.models.unet import unet
from sr_keras.models.vae import vae, vae_decoder, vae_encoder, vae_upscaler
from sr_keras.models.vdsr import vdsr
from sr_keras.models.wdsr import wdsr

INTERPOLATIONS = {"nearest": nearest, "bilinear": bilinear, "bicubic": bicubic}


def list_models(pattern="*"):
    """Returns the names of the networks that match a pattern, such as "edsr*".

    Those of `CATALOGUE` come first, in the order of their papers.
    """
    names = [*CATALOGUE, *(name for name in NETWORKS if name not in CATALOGUE)]
    return fnmatch.filter(names, pattern)


def load(source, scale=None, detail=None):
    """Builds a network with its trained weights.

    Args:
        source: One of: the name of a shipped set, such as "edsr-x4-bsds"; the path of a
            `.weights.h5` file written by `weights.save`, or of a `.keras` file; the
            folder of a training run, of which the best network is loaded (or the last
            one, if the run did not choose by a score); a `.pth`, `.pt`, `.ckpt` or
            `.safetensors` file that others published, see `load_published`. If `scale`
            is given, also the name of a network, of which the best shipped set is
            loaded, or of an interpolation.
        scale: Expected upscaling factor. None for any.
        detail: None, or how much the network may invent: the amount, from 0 to 1, by
            which it is blended with the weights from which its training began, see
            `blend` and `weights.start`. 0 returns these, 1 the network itself. Only for
            shipped sets and weights files that store where their training began, as
            those of GANs do.

    Returns:
        A functional `keras.Model`. A `.keras` file may also hold another kind of model.

    Raises:
        FileNotFoundError: If there is no such file, or the folder is not a run.
        ValueError: If there is no such name (the message suggests similar ones), the
            file cannot be read or does not store which network it belongs to, the
            network has another scale, or `detail` is out of range or given for a
            network that does not store where its training began.
    """
    if detail is not None and not 0 <= detail <= 1:
        raise ValueError(f"`detail` must be from 0 to 1. Received: detail={detail}")
    start = None if detail is None else _start(source)
    model = _load(source, scale)
    if start is not None:
        model = blend(_load(start, scale), model, detail)
    if scale is not None and scale_of(model) != scale:
        raise ValueError(
            f"{source} is a network for x{scale_of(model)}. Received: scale={scale}"
        )
    return model


def _start(source):
    """Returns the weights from which the training of a network began."""
    is_file = str(source).endswith(weights.SUFFIX)
    start = None
    if is_file or str(source) in weights.all_names():
        start = weights.start(source)
    if start is None:
        fitting = filter(weights.start, weights.all_names())
        raise ValueError(
            "`detail` needs weights whose training began from another set, as those of"
            f" {', '.join(fitting)}. {source} names none."
        )
    return start


def _load(source, scale):
    path, name = pathlib.Path(source), str(source)
    if path.suffix == ".keras":
        return weights.read_model(path)
    if path.suffix in published.SUFFIXES:
        return load_published(path)
    known = [*weights.all_names(), *NETWORKS, *INTERPOLATIONS]
    if path.name.endswith(weights.SUFFIX):
        path = weights.find(path)
    else:
        if path.is_dir() and name not in known:
            return weights.read_model(weights.model_file_of_run(path))
        if name in INTERPOLATIONS or name in NETWORKS:
            if scale is None:
                raise ValueError(
                    f"{name!r} is available for several scales, so `scale` is needed."
                    " Received: scale=None"
                )
            if name in INTERPOLATIONS:
                return INTERPOLATIONS[name](scale)
            name = weights.best(scale, name)
        elif path.suffix or len(path.parts) > 1:
            raise FileNotFoundError(
                f"There is no model {path}: it is neither the folder of a run nor a"
                " .keras, .weights.h5, .pth or .safetensors file."
            )
        check_name("a model", name, known)
        path = weights.find(name)
    stored = weights.identity(path)
    if stored is None:
        raise ValueError(
            f"{path} does not store which network it belongs to. Build the network and"
            " load the file with `load_weights`."
        )
    network = stored["network"]
    if network not in NETWORKS and not is_reference(network):
        raise ValueError(
            f"{path} holds weights of another network: {network!r} is not the name of a"
            " network. Import the module that registers it first (on the command line:"
            " --import MODULE)."
        )
    return find_builder(network)(**stored["config"], weights=path)


__all__ = [
    "CATALOGUE",
    "INTERPOLATIONS",
    "NETWORKS",
    "Network",
    "autoencoder",
    "bicubic",
    "bilinear",
    "blend",
    "dbpn",
    "denoiser",
    "denoiser_upscaler",
    "edsr",
    "espcn",
    "feature_discriminator",
    "fold",
    "fsrcnn",
    "lapsrn",
    "list_models",
    "load",
    "load_published",
    "mult_adds",
    "nearest",
    "on_luma",
    "patchgan",
    "rcan",
    "rdn",
    "register",
    "rlfn",
    "rrdb",
    "scale_of",
    "span",
    "srcnn",
    "srfeat_discriminator",
    "srgan_discriminator",
    "srresnet",
    "srvgg",
    "stacked_hourglass",
    "swinir",
    "unet",
    "unet_discriminator",
    "vae",
    "vae_decoder",
    "vae_encoder",
    "vae_upscaler",
    "vdsr",
    "vgg_discriminator",
    "wdsr",
]
