"""Every network in a size that tests can afford."""

from sr_keras.models import NETWORKS

# Arguments that make the networks small; one that is missing here has its full size.
ARGUMENTS = {
    "srcnn": {"filters": (4, 4)},
    "fsrcnn": {"num_features": 4, "num_shrunk": 4, "num_mappings": 1},
    "espcn": {"filters": (4, 4)},
    "vdsr": {"filters": 4, "num_layers": 3},
    "lapsrn": {"filters": 4, "num_convs": 1},
    "autoencoder": {"filters": (4, 4)},
    "unet": {"filters": 4, "num_levels": 3},
    "srresnet": {"filters": 4, "num_blocks": 1},
    "edsr": {"filters": 4, "num_blocks": 1},
    "wdsr": {"filters": 4, "num_blocks": 1},
    "rdn": {"filters": 4, "num_blocks": 1, "num_convs": 2, "growth": 4},
    "rcan": {"filters": 8, "num_groups": 1, "num_blocks": 1, "reduction": 2},
    "rrdb": {"filters": 4, "num_blocks": 1, "growth": 4},
    "dbpn": {"filters": 4, "num_features": 4, "num_stages": 2},
    "stacked_hourglass": {"filters": 4, "depth": 1, "num_stacks": 1},
    "rlfn": {"filters": 4, "num_blocks": 1, "attention_filters": 2},
    "span": {"filters": 4, "num_blocks": 1},
    "srvgg": {"filters": 4, "num_convs": 1},
    "swinir": {"filters": 8, "depths": (2,), "num_heads": 2, "window": 4},
    "vae": {"filters": 4, "num_blocks": 1, "latent_channels": 2},
}


def tiny(name, scale=2, **kwargs):
    return NETWORKS[name](scale, **{**ARGUMENTS.get(name, {}), **kwargs})
