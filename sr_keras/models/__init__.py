"""Networks, one file per paper. Every builder returns a functional model.

`NETWORKS` names the builders that the command line offers, `CATALOGUE` says what
they are, and `load` builds one with the weights that are shipped.
"""

from sr_keras import pretrained
from sr_keras.models.autoencoder import autoencoder
from sr_keras.models.catalogue import CATALOGUE, mult_adds
from sr_keras.models.dbpn import dbpn
from sr_keras.models.discriminators import (
    feature_discriminator,
    patchgan,
    srgan_discriminator,
    unet_discriminator,
)
from sr_keras.models.edsr import edsr
from sr_keras.models.espcn import espcn
from sr_keras.models.fsrcnn import fsrcnn
from sr_keras.models.interpolation import bicubic, bilinear, nearest
from sr_keras.models.lapsrn import lapsrn
from sr_keras.models.on_luma import on_luma, scale_of
from sr_keras.models.rcan import rcan
from sr_keras.models.rdn import rdn
from sr_keras.models.rrdb import rrdb
from sr_keras.models.srcnn import srcnn
from sr_keras.models.srresnet import srresnet
from sr_keras.models.stacked_hourglass import stacked_hourglass
from sr_keras.models.unet import unet
from sr_keras.models.vae import vae, vae_decoder, vae_encoder, vae_upscaler
from sr_keras.models.vdsr import vdsr
from sr_keras.models.wdsr import wdsr

INTERPOLATIONS = {"nearest": nearest, "bilinear": bilinear, "bicubic": bicubic}
NETWORKS = {
    "srcnn": srcnn,
    "fsrcnn": fsrcnn,
    "espcn": espcn,
    "vdsr": vdsr,
    "lapsrn": lapsrn,
    "autoencoder": autoencoder,
    "unet": unet,
    "srresnet": srresnet,
    "edsr": edsr,
    "wdsr": wdsr,
    "rdn": rdn,
    "rcan": rcan,
    "rrdb": rrdb,
    "dbpn": dbpn,
    "stacked_hourglass": stacked_hourglass,
    "vae": vae,
}


def load(name):
    """Builds the network that a weight file is for, with its weights.

    Args:
        name: NETWORK-xSCALE-NAME of a shipped set, such as "edsr-x4-bsds", or the
            path of a `.weights.h5` file that `pretrained.save` wrote.

    Returns:
        A functional `keras.Model`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no such set, or the file does not say what it is for,
            or is for none of `NETWORKS`.
    """
    path = pretrained.find(name)
    stored = pretrained.describe(path)
    if stored is None:
        raise ValueError(f"{path} does not say which network it is for.")
    if stored["network"] not in NETWORKS:
        raise ValueError(
            f"{path} is for {stored['network']}, which is none of the networks that"
            f" `load` builds: {', '.join(NETWORKS)}."
        )
    return NETWORKS[stored["network"]](**stored["config"], weights=path)


__all__ = [
    "CATALOGUE",
    "INTERPOLATIONS",
    "NETWORKS",
    "autoencoder",
    "bicubic",
    "bilinear",
    "dbpn",
    "edsr",
    "espcn",
    "feature_discriminator",
    "fsrcnn",
    "lapsrn",
    "load",
    "mult_adds",
    "nearest",
    "on_luma",
    "patchgan",
    "rcan",
    "rdn",
    "rrdb",
    "scale_of",
    "srcnn",
    "srgan_discriminator",
    "srresnet",
    "stacked_hourglass",
    "unet",
    "unet_discriminator",
    "vae",
    "vae_decoder",
    "vae_encoder",
    "vae_upscaler",
    "vdsr",
    "wdsr",
]
