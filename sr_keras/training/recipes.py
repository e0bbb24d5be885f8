"""The recipes of the shipped weights, and of the demo."""

import dataclasses
import pathlib

from sr_keras import degradations, files
from sr_keras.checks import check_name
from sr_keras.training.recipe import GANRecipe, Recipe, VAERecipe, from_json

# 491 photos: the train and test parts of BSDS500 and the 91 images of Yang et al.
PHOTOS = ("bsds500/train", "bsds500/test", "t91")

# 94 megapixels more: General-100 and the sharpest of 1,000 photos of ImageNet
ALL_PHOTOS = (*PHOTOS, "photos/general100", "photos/imagenet")

ADAM = {"optimizer": "adam", "learning_rate": 1e-3, "warmup_steps": 0}


def _photos(network, scale=4, make=Recipe, **settings):
    """A recipe for the photos above, with what most of them have in common.

    With Adam in place of SOAP, the sets called "small" were 0.2 to 0.8 dB worse on
    the photos held out.
    """
    common = {
        "data": PHOTOS,
        "num_validation": 20,
        "skip_bad": True,  # some of the 91 are smaller than a patch
        "steps": 2_000,
        "batch_size": 8,
        "lr_patch_size": 24,
        "optimizer": "soap",
        "learning_rate": 3e-3,
        "warmup_steps": 100,
        "optimizer_options": {"beta_2": 0.99},
        "precision": "float32",
    }
    return make(network=network, scale=scale, **{**common, **settings})


def _srcnn(scale, **settings):
    """A recipe for the paper's 9-5-5."""
    common = {
        "batch_size": 4,
        "lr_patch_size": 96 // scale,
        "warmup_steps": 500,
        # The first kernels add up 81 bright pixels. After a long training in bfloat16
        # the network is 0.13 dB worse in float32, unless its weights are rounded as
        # they were in training; those of the shipped x4 are.
        "precision": "float32",
    }
    return _photos("srcnn", scale, **{**common, **settings})


# Half as many steps more make FSRCNN x3 and ESPCN x4 no better on the held-out photos.
def _fsrcnn(scale, **settings):
    common = {
        "steps": 40_000,
        "lr_patch_size": 32,
        "learning_rate": 1e-2,
        "warmup_steps": 500,
    }
    return _photos("fsrcnn", scale, **{**common, **settings})


def _espcn(scale, **settings):
    common = {
        "steps": 30_000,
        "lr_patch_size": 32,
        "learning_rate": 5e-3,
        "warmup_steps": 500,
    }
    # with SOAP, the paper's tanh stays at what a linear filter can do
    options = {"bicubic_skip": True, "activation": "leaky_relu"}
    return _photos("espcn", scale, options=options, **{**common, **settings})


def _edsr(scale, **settings):
    """A recipe for the paper's baseline, with its patches."""
    common = {
        **ADAM,
        "batch_size": 16,
        "lr_patch_size": 48,
        "learning_rate": 4e-4,
        "ema_momentum": 0.999,
        "precision": "auto",
    }
    return _photos("edsr", scale, **{**common, **settings})


def _family(network, **settings):
    """A recipe at the budget that the families of networks are compared at.

    About 250,000 weights, RGB, the same photos, patches, steps, loss and optimizer.
    """
    return _photos(network, steps=4_000, **settings)


def _adversarial(network, scale=4, **settings):
    """A recipe for a GAN that starts from a generator trained on pixels."""
    common = {
        **ADAM,
        "weights": "bsds-small",
        "batch_size": 4,
        "schedule": "constant",
    }
    return _photos(network, scale, GANRecipe, **{**common, **settings})


# Sizes at which a network of each family learns in minutes on a CPU. Their weights
# are called "bsds-small".
SRRESNET_SMALL = {"filters": 32, "num_blocks": 6}
RRDB_SMALL = {"filters": 24, "num_blocks": 2, "growth": 12}
EDSR_SMALL = {"filters": 32, "num_blocks": 8}
UNET_SMALL = {"filters": 16}
# Unlike in the papers of SRGAN and ESRGAN, pixels and shallower layers count too: in a
# few hundred steps VGG54 alone loses the colours, and a network that is trained on one
# layer learns patterns that lower the loss of that layer and raise the others'. Each
# layer's part is 0.1 to 0.5 at the start.
GAN_LOSSES = (
    (1.0, "l1"),
    (
        1.0,
        (
            "perceptual",
            {
                "content": {
                    "vgg19/block3_conv4": 1e-6,
                    "vgg19/block4_conv2": 2e-6,
                    "VGG54": 1e-2,
                }
            },
        ),
    ),
)

# The terms of a larger SRGAN. Measured at the last convolution of the generator, the
# gradient of the VGG layers together is four times that of L1, and the adversarial one,
# once the discriminator is trained, about that of the VGG layers.
LARGE_GAN_LOSSES = (
    (1.0, "l1"),
    (
        1.0,
        (
            "perceptual",
            {
                "content": {
                    "vgg19/block2_conv2/before_relu": 1e-4,
                    "vgg19/block3_conv4/before_relu": 2e-4,
                    "vgg19/block4_conv4/before_relu": 2e-4,
                    "vgg19/block5_conv4/before_relu": 1e-3,
                },
                "distance": "l1",
            },
        ),
    ),
)

# Half of the patches are degraded strongly, as in the training of Real-ESRGAN, and half
# slightly, like photos of a phone. Networks that see only the former smooth the latter.
AS_THEY_COME = degradations.serialize(
    degradations.OneOf(
        (
            degradations.SecondOrder(4),
            degradations.Compose(
                [
                    degradations.GaussianBlur((0.1, 1.5)),
                    degradations.Downscale(4),
                    degradations.Sometimes(
                        0.5, degradations.GaussianNoise((0.0, 0.03))
                    ),
                    degradations.Sometimes(0.8, degradations.JPEG((40, 95))),
                ]
            ),
        ),
        (0.5, 0.5),
    )
)


_TABLE = {
    "demo": Recipe(
        network="espcn",
        scale=3,
        data=("samples",),
        options={"channels": 3, "bicubic_skip": True, "activation": "leaky_relu"},
        steps=4_000,
        lr_patch_size=32,
        optimizer="soap",
        optimizer_options={"beta_2": 0.999},
        learning_rate=3e-3,
        warmup_steps=100,
        precision="float32",
    ),
    # with Adam on a GPU, a minute
    "srcnn-x2": _photos(
        "srcnn", 2, **ADAM, steps=50_000, batch_size=16, lr_patch_size=48
    ),
    # not from x2, half of whose filters are inactive on all photos
    "srcnn-x3": _srcnn(3, steps=32_000),
    "srcnn-x4": _srcnn(4, steps=36_000, init_from="srcnn-x3-bsds"),
    "fsrcnn-x2": _fsrcnn(2, steps=60_000),
    "fsrcnn-x3": _fsrcnn(3, init_from="fsrcnn-x2-bsds"),
    "fsrcnn-x4": _fsrcnn(4, init_from="fsrcnn-x2-bsds"),
    "espcn-x2": _espcn(2, steps=40_000),
    "espcn-x3": _espcn(3, init_from="espcn-x2-bsds"),
    "espcn-x4": _espcn(4, init_from="espcn-x2-bsds"),
    # on a GPU two minutes, see examples/train_on_jax.py; its body starts the others
    "edsr-x2": _edsr(2, steps=40_000),
    "edsr-x3": _edsr(3, steps=21_000, init_from="edsr-x2-bsds"),
    # on a CPU an hour and a half. Larger patches and batches, as for x3, are worse:
    # after 37,000 steps the held-out photos were at 28.14 dB, now 28.37
    "edsr-x4": _edsr(
        4,
        steps=8_000,
        batch_size=8,
        lr_patch_size=32,
        learning_rate=3e-4,
        init_from="edsr-x2-bsds",
    ),
    "srresnet-x4-small": _photos(
        "srresnet", options=SRRESNET_SMALL, loss="l2", batch_size=4
    ),
    "rrdb-x4-small": _photos("rrdb", options=RRDB_SMALL, steps=1_500),
    "edsr-x4-small": _photos("edsr", options=EDSR_SMALL),
    "rcan-x4-small": _photos(
        "rcan",
        options={"filters": 32, "num_groups": 3, "num_blocks": 4, "reduction": 8},
        steps=1_500,
    ),
    # LapSRN's curriculum: the level of x2 first, then both
    "lapsrn-x2-small": _photos(
        "lapsrn",
        2,
        options={"filters": 32, "num_convs": 5},
        loss="charbonnier",
        steps=2_000,
    ),
    "lapsrn-x4-small": _photos(
        "lapsrn",
        options={"filters": 32, "num_convs": 5, "all_levels": True},
        loss="charbonnier",
        steps=2_000,
        init_from="lapsrn-x2-bsds-small",
    ),
    "wdsr-x4-small": _photos("wdsr", options={"filters": 16, "num_blocks": 8}),
    # each 219,000 to 254,000 weights
    "edsr-x4-250k": _family("edsr", options=EDSR_SMALL),
    "rdn-x4-250k": _family(
        "rdn",
        options={"filters": 32, "num_blocks": 4, "num_convs": 4, "growth": 16},
    ),
    "rcan-x4-250k": _family(
        "rcan",
        options={"filters": 32, "num_groups": 2, "num_blocks": 4, "reduction": 8},
    ),
    "dbpn-x4-250k": _family(
        "dbpn", options={"filters": 16, "num_features": 32, "num_stages": 3}
    ),
    "lapsrn-x4-250k": _family(
        "lapsrn",
        options={"filters": 48, "num_convs": 5, "all_levels": True, "channels": 3},
    ),
    "stacked_hourglass-x4-250k": _family(
        "stacked_hourglass", options={"filters": 48, "depth": 3, "all_outputs": True}
    ),
    "srcnn-x4-small": _photos(
        "srcnn",
        options={"kernel_sizes": (9, 1, 5)},
        lr_patch_size=16,
        loss="l2",
        learning_rate=1e-2,
    ),
    "vdsr-x4-small": _photos(
        "vdsr",
        options={"filters": 16},
        lr_patch_size=16,
        loss="l2",
        global_clipnorm=0.1,
    ),
    "autoencoder-x4-small": _photos(
        "autoencoder", options={"filters": (32, 32, 16)}, lr_patch_size=16, steps=700
    ),
    "unet-x1-small": _photos(
        "unet",
        1,
        options=UNET_SMALL,
        degradation="crappify",
        lr_patch_size=96,
        steps=1_200,
    ),
    # without the loss of the grid, features lead to a visible one
    "unet-x1-photos-perceptual": _photos(
        "unet",
        1,
        data=ALL_PHOTOS,
        min_contrast=0.04,
        options=UNET_SMALL,
        weights="bsds-small",
        degradation="crappify",
        loss=(
            (1.0, "l1"),
            (
                1.0,
                (
                    "perceptual",
                    {
                        "content": {
                            "vgg19/block2_conv2/before_relu": 4e-4,
                            "vgg19/block3_conv4/before_relu": 8e-4,
                            "vgg19/block4_conv4/before_relu": 8e-4,
                        },
                        "distance": "l1",
                    },
                ),
            ),
            (1000.0, ("grid", {"period": 2})),
        ),
        lr_patch_size=64,
        steps=1_000,
        optimizer="adam",
        learning_rate=3e-4,
        warmup_steps=0,
        ema_momentum=0.998,
    ),
    "edsr-x4-srgan": _adversarial(
        "edsr",
        options=EDSR_SMALL,
        discriminator="srgan_discriminator",
        discriminator_options={"size": 64, "filters": 32},
        losses=GAN_LOSSES,
        adversarial_weight=1e-3,
        lr_patch_size=16,
        steps=1_000,
        learning_rate=1e-4,
        schedule="cosine",
        ema_momentum=0.998,
    ),
    # as the one below, with the loss of the grid in place of the discriminator
    "edsr-x4-photos-perceptual": _photos(
        "edsr",
        data=ALL_PHOTOS,
        min_contrast=0.04,
        weights="bsds",
        loss=(*LARGE_GAN_LOSSES, (1000.0, "grid")),
        steps=500,
        optimizer="adam",
        optimizer_options={},
        learning_rate=2e-4,
        warmup_steps=0,
        ema_momentum=0.99,
    ),
    # 1.0 s of CPU time a step with bfloat16 units
    "edsr-x4-photos-srgan": GANRecipe(
        network="edsr",
        scale=4,
        data=ALL_PHOTOS,
        num_validation=20,
        skip_bad=True,
        min_contrast=0.04,
        weights="bsds",
        losses=LARGE_GAN_LOSSES,
        adversarial_weight=1e-2,
        discriminator="unet_discriminator",
        discriminator_options={"filters": 32},
        batch_size=8,
        lr_patch_size=24,
        steps=3_600,
        learning_rate=2e-4,
        ema_momentum=0.998,
    ),
    # 0.8 s of CPU time a step; the shipped file has the blocks folded
    "span-x4-photos-real": Recipe(
        network="span",
        scale=4,
        data=ALL_PHOTOS,
        num_validation=20,
        skip_bad=True,
        min_contrast=0.04,
        options={"filters": 48},
        degradation=AS_THEY_COME,
        batch_size=8,
        lr_patch_size=40,
        steps=4_000,
        optimizer="soap",
        optimizer_options={"beta_2": 0.99},
        learning_rate=3e-3,
        warmup_steps=100,
        ema_momentum=0.998,
        precision="float32",
    ),
    # For clean photos. It learns from outputs of RLFN-S, which `examples/distill.py`
    # puts into these folders: one for `PHOTOS`, one for the rest of `ALL_PHOTOS`.
    "span-x4-photos": Recipe(
        network="span",
        scale=4,
        data=("rlfn-pairs", "rlfn-pairs-more"),
        validation="rlfn-pairs/validation",
        num_validation=0,
        skip_bad=True,
        min_contrast=0.03,
        options={"filters": 48, "folded": True},
        weights="photos-real",
        loss=((1.0, "l1"), (0.05, "frequency")),
        batch_size=16,
        lr_patch_size=40,
        steps=11_000,
        optimizer="soap",
        optimizer_options={"beta_2": 0.99},
        learning_rate=2e-3,
        warmup_steps=100,
        ema_momentum=0.999,
    ),
    # It learns from outputs of RealESRGAN_x4plus, which `examples/distill.py` puts into
    # the folder `realesrgan-pairs`.
    "span-x4-photos-distilled": Recipe(
        network="span",
        scale=4,
        data=("realesrgan-pairs",),
        num_validation=20,
        options={"filters": 48, "folded": True},
        weights="photos-real",
        loss=((1.0, "l1"), (0.05, "frequency")),
        batch_size=8,
        lr_patch_size=40,
        steps=6_000,
        optimizer="soap",
        optimizer_options={"beta_2": 0.99},
        learning_rate=1e-3,
        warmup_steps=100,
        ema_momentum=0.998,
    ),
    # It starts from the first six of the teacher's 23 blocks and its other layers. The
    # teacher's file must lie in the working directory.
    "rrdb-x4-photos-distilled": Recipe(
        network="rrdb",
        scale=4,
        data=("realesrgan-pairs",),
        num_validation=20,
        options={"num_blocks": 6},
        init_from="RealESRGAN_x4plus.safetensors",
        loss=((1.0, "l1"), (0.05, "frequency")),
        batch_size=6,
        lr_patch_size=32,
        steps=2_000,
        optimizer="soap",
        # only the sides of 32 and 64 channels: the others have up to 1,728 rows
        optimizer_options={"beta_2": 0.99, "max_precond_dim": 70},
        learning_rate=1e-3,
        warmup_steps=50,
        ema_momentum=0.99,
    ),
    "rrdb-x4-photos-gan": GANRecipe(
        network="rrdb",
        scale=4,
        data=("realesrgan-pairs",),
        num_validation=20,
        options={"num_blocks": 6},
        weights="photos-distilled",
        losses=(
            (1.0, "l1"),
            (
                1.0,
                (
                    "perceptual",
                    {
                        "content": {
                            "vgg19/block2_conv2/before_relu": 1e-4,
                            "vgg19/block3_conv4/before_relu": 3e-4,
                        },
                        "distance": "l1",
                    },
                ),
            ),
        ),
        adversarial_weight=5e-3,
        discriminator="vgg_discriminator",
        discriminator_learning_rate=4e-4,
        batch_size=6,
        lr_patch_size=24,
        steps=1_500,
        learning_rate=1e-4,
        schedule="constant",
        ema_momentum=0.995,
    ),
    "rrdb-x4-esrgan": _adversarial(
        "rrdb",
        options=RRDB_SMALL,
        discriminator="srgan_discriminator",
        discriminator_options={"size": 64, "filters": 32},
        relativistic=True,
        losses=GAN_LOSSES,
        adversarial_weight=5e-4,
        lr_patch_size=16,
        steps=800,
        learning_rate=2e-4,
        schedule="cosine",
        ema_momentum=0.998,
    ),
    # with SOAP its mean is better, and its samples differ more than they should
    "vae-x4-small": _photos(
        "vae",
        make=VAERecipe,
        **ADAM,
        options={"filters": 32, "num_blocks": 4},
        encoder_options={"filters": 32},
        kl_weight=5e-4,
        annealing_steps=1_500,
        steps=3_000,
    ),
}

RECIPES = {
    name: dataclasses.replace(recipe, name=name) for name, recipe in _TABLE.items()
}


def find(name):
    """Returns a recipe by its name, or by the path of a JSON file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no such recipe, or the file does not hold one.
    """
    if pathlib.Path(name).suffix != ".json":
        check_name("a recipe", name, RECIPES)
        return RECIPES[name]
    values = files.read_json(name)
    if values is None:
        raise FileNotFoundError(f"There is no recipe file {name}")
    return from_json(values)
