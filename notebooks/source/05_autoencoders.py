# %% [markdown]
# # 5. Autoencoders and losses
#
# What a bottleneck keeps and what it loses, from principal components to a deep decoder; what each kind of skip connection is worth;
# and which errors a loss does not measure.
#
# ![The tank of a motorcycle, stored in 1, 3, 12 and 48 numbers per tile, and as an LR image](figures/05_goal.jpg)
#
# *A photo stored in 1, 3, 12 and 48 of 192 numbers per tile, and as an LR image with 12: what does a bottleneck keep, and what does
# it lose first?*
#
# **You will be able to**
#
# - explain stride and dilation, and compute the receptive field of a stack of convolutions;
# - find the best linear autoencoder by PCA, train one that equals it, and improve it with a deep decoder;
# - build an encoder and decoder with skip connections, and measure what each kind of skip is worth;
# - compare L1, L2 and Charbonnier by their derivatives, write a loss of your own, and find out which errors a loss does not measure.
#
# **You need** lesson 1 (PSNR, SSIM, bicubic interpolation), lesson 3 (convolutions, residual learning) and lesson 4 (pixel shuffle,
# transposed convolution). From linear algebra: eigenvectors and, once, singular values.
#
# **Time:** about 55 minutes to read the core, 50 for the exercises; 4 minutes of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate).
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/05_autoencoders.ipynb) · [Student edition](student/05_autoencoders.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/05_autoencoders.py) · Previous: [4. ESPCN and FSRCNN: enlarge at the end](04_espcn.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/04_espcn.ipynb)) · Next: [6. U-Net: restore a damaged photo](06_unet.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/06_unet.ipynb)) · [All lessons](README.md)

# %%
# Installs the package where it is missing, as in Colab; a TensorFlow that fits stays.
import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("sr_keras") is None:
    local = os.path.exists("../sr_keras/__init__.py")  # a copy of the repository
    package = ".." if local else "git+https://github.com/OWNER/sr_keras"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package], check=True)

import sr_keras as sr

here = sr.course.start(
    minutes=(0.8, 4, 1),
    epochs=(1, 6, 20),
    deep_steps=(20, 300, 3000),
    skip_steps=(20, 250, 3000),
    stops=((10, 20), (40, 200), (40, 200)),
)

# %% [markdown]
# ## A bottleneck
#
# An *autoencoder* has two parts. The *encoder* compresses an image into a *code* of fewer numbers, and the *decoder* reconstructs the
# image from the code. With encoder $E$ and decoder $D$, training minimizes
#
# $$\min_{E,\,D}\ \sum_x \lVert x - D(E(x)) \rVert^2$$
#
# The code is a *bottleneck*: what does not fit through it is lost. This lesson uses parts of two photos, at x4.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np

scale = 4
train_pairs = sr.datasets.samples(scale)
pairs = sr.datasets.samples(scale, split="validation")


def part(pair, top, left):
    """Crops 64 x 96 pixels of an LR image, and the same area of the HR image."""
    return [
        image[k * top : k * (top + 64), k * left : k * (left + 96)]
        for image, k in zip(pair, (1, scale), strict=True)
    ]


parts = {"cat": part(pairs[0], 5, 8), "motorcycle": part(pairs[1], 32, 60)}
lr_file, hr_file = parts["motorcycle"]
lr, hr = sr.images.to_float(lr_file), sr.images.to_float(hr_file)
bicubic = keras.ops.convert_to_numpy(sr.models.bicubic(scale)(lr[None]))[0]
print("LR", lr.shape, "HR", hr.shape)


# %% [markdown]
# ## Stride and dilation
#
# An encoder makes images smaller. With a *stride* of 2, the kernel moves two pixels at a time. **Predict:** is this the same as
# convolving with stride 1 and then dropping every second row and column?

# %%
kernel = keras.random.normal((3, 3, 3, 8))
strided = keras.ops.conv(hr[None], kernel, strides=2, padding="same")
full = keras.ops.conv(hr[None], kernel, padding="same")
np.testing.assert_allclose(strided, full[:, 1::2, 1::2], atol=1e-5)
print(hr[None].shape, "->", strided.shape)

# %% [markdown]
# It is the same, at a quarter of the cost. Which rows are kept is a convention: TensorFlow keeps rows 1, 3, 5 and so on if the size
# is even. After a stride of 2, neighbouring values are two input pixels apart, so every later kernel reaches twice as far.
#
# One 3 x 3 convolution sees one pixel to each side, and each further one adds another pixel. *Dilation* leaves gaps between the
# nine pixels of the kernel. **Predict:** how wide is the *receptive field*, the area of the input that one output pixel depends on,
# of three layers with dilations 1, 2 and 4?


# %%
def receptive_field(dilations):
    """Counts the paths from the central input pixel to each output pixel."""
    image = np.zeros((1, 19, 19, 1), "float32")
    image[0, 9, 9] = 1
    for rate in dilations:
        image = keras.ops.conv(
            image, np.ones((3, 3, 1, 1), "float32"), padding="same", dilation_rate=rate
        )
    return keras.ops.convert_to_numpy(image)[0, ..., 0]


# %%
fig, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for ax, dilations in zip(axes, ((1,), (1, 1, 1), (1, 2, 4)), strict=True):
    paths = receptive_field(dilations)
    wide = (paths > 0).any(axis=0).sum()
    ax.imshow(np.where(paths > 0, paths, np.nan), cmap="viridis", vmin=0)
    ax.set_title(f"dilations {dilations}: {wide} x {wide}", fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# (By symmetry, one output pixel sees as many input pixels as one input pixel reaches.) Three plain layers see 7 x 7 pixels, with the
# most paths from the middle (yellow). With dilations 1, 2 and 4, the receptive field is 15 x 15 for the same number of weights. It is
# covered unevenly, but without holes.
#
# ## The best linear bottleneck
#
# If encoder and decoder are linear (weighted sums and a bias, without ReLU), the solution with the least squared error is known and
# needs no training: principal component analysis (PCA).
#
# We cut photos into tiles of 8 x 8 pixels, which are 192 numbers each, subtract their mean tile, and look for the directions in
# which the tiles vary most. They are the eigenvectors of the covariance matrix with the largest eigenvalues. The photo of the sky
# is black over almost half of its area, and the retina has black corners, so we leave nearly black tiles out.

# %%
size, depth = 8, 8 * 8 * 3


def tiles_of(image):
    rows, columns = image.shape[0] // size, image.shape[1] // size
    x = image[: rows * size, : columns * size].reshape(rows, size, columns, size, 3)
    return x.transpose(0, 2, 1, 3, 4).reshape(-1, depth)


photos = [sr.images.to_float(train_pairs.hr(i)) for i in range(len(train_pairs))]
examples = np.concatenate([tiles_of(photo) for photo in photos])
examples = examples[examples.mean(axis=1) > 0.05]
mean = examples.mean(axis=0)
variances, directions = np.linalg.eigh(np.cov(examples - mean, rowvar=False))
variances = variances[::-1]  # the eigenvalues, largest first
directions = directions[:, ::-1].astype("float32")
print(f"{len(examples)} tiles of {', '.join(train_pairs.names)}")

# %% [markdown]
# Each direction is itself a tile. **Predict:** what do the most important directions look like: letters, eyes, edges, or something
# simpler?

# %%
fig, axes = plt.subplots(2, 8, figsize=(11, 3.2), layout="constrained")
for k, ax in enumerate(axes.flat):
    picture = directions[:, k].reshape(size, size, 3)
    ax.imshow(0.5 + 0.45 * picture / np.abs(picture).max(), interpolation="nearest")
    ax.set_title(f"{k}", fontsize=9)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Three of them are flat tiles of one colour (0, 1 and 4). The others are slopes, stripes and spots: slow waves come first, and faster
# ones follow. They resemble the cosine waves with which JPEG codes its tiles of 8 x 8 pixels. (The sign is arbitrary.)
#
# The encoder multiplies a tile by the first `k` directions. This is a convolution with 8 x 8 kernels and stride 8. The decoder is a
# transposed convolution (lesson 4) with *the same* kernels.


# %%
def squeeze(image, k):
    """Returns the code of an image (k numbers per tile) and its reconstruction."""
    height, width = image.shape[:2]
    filters = directions[:, :k].reshape(size, size, 3, k)
    means = np.tile(mean.reshape(size, size, 3), (height // size, width // size, 1))
    x = image[None] - means
    code = keras.ops.conv(x, filters, strides=size)
    decoded = keras.ops.conv_transpose(code, filters, strides=size)
    return keras.ops.convert_to_numpy(code), np.array(decoded)[0] + means


code, reconstruction = squeeze(hr, 12)
code_by_hand = (tiles_of(hr) - mean) @ directions[:, :12]
np.testing.assert_allclose(code.reshape(-1, 12), code_by_hand, atol=1e-4)
np.testing.assert_allclose(squeeze(hr, depth)[1], hr, atol=1e-4)

# %% [markdown]
# The last assertion shows that all 192 numbers together lose nothing. An LR image at x4 is a code too: it has 2 x 2 x 3 = 12
# numbers per tile, and bicubic interpolation is its decoder. **Predict:** which is better, the 12 numbers of LR or our 12 numbers?


# %%
def psnr_rgb(image, border=8):
    image = np.clip(image, 0, 1)[None].astype("float32")
    return float(sr.metrics.psnr(hr[None], image, border=border)[0])


tank = (12, 84, 120, 170)  # top, left, height, width
squeezed = {f"{k} of 192": squeeze(hr, k)[1] for k in (1, 3, 12, 48)}
squeezed["LR (12), bicubic"] = bicubic
sr.plotting.comparison(
    {**squeezed, "HR": hr},
    scores={name: psnr_rgb(image) for name, image in squeezed.items()},
    crop=tank,
    columns=3,
    title="Numbers per 8 x 8 tile; part of the motorcycle, PSNR on RGB, 8 pixels cut",
    whole=False,
)

# %% [markdown]
# With one number per tile we get a mosaic in shades of one colour, and with 48 nearly the original photo. Our twelve numbers score
# higher than the twelve of LR. (Part of this is due to the decoder: bicubic interpolation is not the best one for LR, and
# downscaling does not aim at the least error either. Also, we count numbers here, not bits.) However, each tile is coded
# independently of its neighbours, so the borders between tiles are visible.
#
# ## A linear autoencoder finds the same space
#
# Now we train the two matrices instead of computing them: a `Dense` layer from 192 numbers to 12, and one from 12 to 192, without
# activations. The optimizer is SOAP, as in lessons 3 and 4. **Predict:** can it be better than PCA with 12 numbers? Will its
# weights be the same?

# %%
side = 12  # numbers per tile
keras.utils.set_random_seed(0)
encode, decode = keras.layers.Dense(side, use_bias=False), keras.layers.Dense(depth)
linear = keras.Sequential([keras.Input((depth,)), encode, decode])


def by_linear(image):
    """Returns the image after the linear autoencoder, tile by tile."""
    rows, columns = image.shape[0] // size, image.shape[1] // size
    y = linear.predict_on_batch(tiles_of(image) - mean) + mean
    y = y.reshape(rows, columns, size, size, 3).transpose(0, 2, 1, 3, 4)
    return y.reshape(rows * size, columns * size, 3)


# %%
per_epoch = len(examples) // 512
total = here.epochs * per_epoch
rate = keras.optimizers.schedules.CosineDecay(
    0.0, total - total // 10, warmup_target=1e-2, warmup_steps=total // 10
)
linear.compile(sr.optimizers.SOAP(rate), loss="mse")
strip = {"0 steps": by_linear(hr)}
for epoch in range(here.epochs):
    linear.fit(
        examples - mean,
        examples - mean,
        batch_size=512,
        verbose=0,
        initial_epoch=epoch,
        epochs=epoch + 1,
    )
    if epoch in (0, here.epochs // 3, here.epochs - 1):
        strip[f"{int(linear.optimizer.iterations)} steps"] = by_linear(hr)

# %%
strip["PCA"] = squeezed["12 of 192"]
sr.plotting.comparison(
    {**strip, "HR": hr},
    scores={name: psnr_rgb(image) for name, image in strip.items()},
    crop=tank,
    columns=3,
    title="A linear autoencoder with 12 numbers per tile as it learns; PSNR on RGB",
    whole=False,
)

# %% [markdown]
# To compare the two codes, we make the 12 directions of the trained decoder orthonormal (`qr`). The singular values of their
# products with the PCA directions are the cosines of the angles between the two 12-dimensional spaces: all are 1 if the spaces are
# the same.

# %%
basis, _ = np.linalg.qr(decode.get_weights()[0].T)
cosines = np.linalg.svd(basis.T @ directions[:, :side], compute_uv=False)
print("cosines of the angles between the two spaces:", cosines.round(3))
print("eigenvalues of directions 10 to 13:", variances[10:14].round(4))
print("largest difference of the weights:", end=" ")
print(np.abs(decode.get_weights()[0] - directions[:, :side].T).max().round(2))
centred = examples - mean
error_pca = np.mean(
    (centred - centred @ directions[:, :side] @ directions[:, :side].T) ** 2
)
error = linear.evaluate(centred, centred, batch_size=4096, verbose=0)
print(f"mean squared error on the tiles: trained {error:.6f}, PCA {error_pca:.6f}")

# %% [markdown]
# After 552 steps, the error of the trained autoencoder is within 0.2 per cent of that of PCA, which no linear autoencoder can beat
# on these tiles. The weights are different: any 12 vectors that span the same space will do. Eleven cosines are 1. The last one is
# smaller, because direction 11 of the figure, the last one kept, and direction 12, the first one left out, have similar eigenvalues
# (0.0150 and 0.0134), so training gains little by choosing between them.
#
# ## A deep decoder
#
# What can a network do better with 12 numbers per tile? PCA is the best only among linear methods that treat each tile alone. A
# decoder can also look at the codes of *neighbouring* tiles, and it can be nonlinear. We start exactly from PCA and add a
# correction: convolutions on the grid of codes, followed by a pixel shuffle. Its last kernel is zero at first, so the untrained
# network *is* PCA. Then all layers are trained, the encoder included.


# %%
def deep_autoencoder():
    conv = keras.layers.Conv2D
    inputs = keras.Input((None, None, 3))
    code = conv(side, size, strides=size, name="encoder")(inputs)
    picture = keras.layers.Conv2DTranspose(3, size, strides=size, name="decoder")(code)
    x = conv(64, 3, padding="same", activation="leaky_relu")(code)
    x = conv(64, 3, padding="same", activation="leaky_relu")(x)
    x = conv(depth, 3, padding="same", kernel_initializer="zeros", name="last")(x)
    correction = sr.layers.PixelShuffle(size)(x)
    return keras.Model(inputs, keras.layers.Add()([picture, correction]))


# %%
keras.utils.set_random_seed(0)
deep = deep_autoencoder()
filters = directions[:, :side].reshape(size, size, 3, side)
deep.get_layer("encoder").set_weights([filters, -mean @ directions[:, :side]])
deep.get_layer("decoder").set_weights([filters, np.zeros(3)])
print(f"{deep.count_params():,} weights")

# %% [markdown]
# A detail: PCA adds the mean tile to every tile. The bias of the last convolution can do this, because it has one value for each
# pixel and colour of a tile.

# %%
last = deep.get_layer("last")
last.set_weights([last.get_weights()[0], mean])
start = np.array(deep(hr[None]))[0]
np.testing.assert_allclose(start, squeezed["12 of 192"], atol=1e-4)

# %%
hr_patches = sr.pipeline.training_batches(
    train_pairs, lr_patch_size=24, batch_size=8, min_contrast=0.03
).map(lambda lr, hr: (hr, hr))
rate = keras.optimizers.schedules.CosineDecay(
    0.0,
    here.deep_steps - here.deep_steps // 10,
    warmup_target=2e-3,
    warmup_steps=here.deep_steps // 10,
)
deep.compile(sr.optimizers.SOAP(rate), loss="mse")
fifths = deep.fit(
    hr_patches, epochs=5, steps_per_epoch=here.deep_steps // 5, verbose=0
).history["loss"]
print("mean squared error in each fifth of the training:", np.round(fifths, 6))

# %% [markdown]
# The error varies with the photos in the batches, but it falls. (It cannot be compared with the errors above, because
# `min_contrast` leaves out the flat patches, which are easy.) PCA and the network can be compared on the motorcycle:

# %%
compared = {
    "LR (12), bicubic": bicubic,
    "PCA (12)": squeezed["12 of 192"],
    "linear autoencoder (12)": strip[list(strip)[-2]],
    "deep autoencoder (12)": np.array(deep(hr[None]))[0],
}
sr.plotting.comparison(
    {**compared, "HR": hr},
    scores={name: psnr_rgb(image) for name, image in compared.items()},
    crop=tank,
    columns=3,
    title="Twelve numbers per 8 x 8 tile; part of the motorcycle, PSNR on RGB, 8 pixels cut",
    whole=False,
)

# %% [markdown]
# With 12 numbers per tile as well, the network is 0.8 dB better than PCA, and the borders between the tiles have almost
# disappeared: each tile is now decoded together with its neighbours. (The decoder is also nonlinear, and the encoder was trained as
# well. Both may be part of the gain.) On the other hand, flat areas now have a fine mesh. (No linear code of single tiles could do
# this: PCA fitted to the tiles of this very picture reaches 23.9 dB.) A likely cause is that each pixel of a tile comes from its
# own outputs of the last convolution, and these do not yet agree after 300 steps.
#
# A useful habit: first compute what the linear method can do with the same bottleneck, then start from it and let the network
# improve it. This autoencoder contains PCA as a special case. If such a network has a larger error than PCA on the training data,
# something is wrong with its training.
#
# ## Encoder, decoder and skips
#
# *Encoder-decoder networks* for restoration compress in several steps, with convolutions of stride 2 and ReLU, and enlarge in as
# many steps. *Symmetric skips* lead around the bottleneck: they take the last feature map of each size in the encoder to the map of
# the same size in the decoder. We add the two maps, as in RED-Net. U-Net (lesson 6) concatenates them. (RED-Net itself keeps the
# full size throughout, and links every second layer to its mirror image.) One more skip adds the input image to the output: the
# residual connection of lesson 3. For super-resolution, LR is first enlarged by bicubic interpolation. From here on the input is
# this interpolated image and the target is HR, so these networks are no longer autoencoders in the strict sense. The name has
# stayed, as in RED-Net's paper.
#
# ![The autoencoder of the package](figures/05_autoencoder.svg)
#
# *Drawn by `sr.plotting.diagram(sr.models.autoencoder(4, filters=(64, 32)))`, with two levels; by default, the network has three. A row
# further up means feature maps of twice the size.*
#
# We write the network with two switches, one for each kind of skip, and with fewer filters than in the drawing:


# %%
def conv(filters, strides=1):
    return keras.layers.Conv2D(filters, 3, strides, "same", activation="relu")


def by_hand(symmetric, image_skip, widths=(16, 16, 8)):
    inputs = keras.Input((None, None, 3))
    image = sr.layers.BicubicUpsampling(scale)(inputs)
    x, maps = conv(widths[0])(image), []
    for width in widths:
        maps.append(x)
        x = conv(width)(conv(width, strides=2)(x))  # half the size
    x = conv(widths[-1])(x)  # the code
    for skip in reversed(maps):
        width = skip.shape[-1]
        x = keras.layers.Conv2DTranspose(width, 4, 2, "same")(x)  # twice the size
        if symmetric:
            x = keras.layers.Add()([x, skip])
        x = conv(width)(keras.layers.ReLU()(x))
    x = keras.layers.Conv2D(3, 3, padding="same")(x)
    if image_skip:
        x = keras.layers.Add()([x, image])
    return keras.Model(inputs, x)


# %% [markdown]
# The package has one switch for all skips. With the same weights, both versions give the same picture:

# %%
for skips in (False, True):
    package = sr.models.autoencoder(scale, filters=(16, 16, 8), skips=skips)
    ours = by_hand(symmetric=skips, image_skip=skips)
    ours.set_weights(package.get_weights())
    np.testing.assert_allclose(ours(lr[None]), package(lr[None]), atol=1e-5)
print(f"{ours.count_params():,} weights; 8 numbers in the code for each 8 x 8 tile")

# %% [markdown]
# The code of 8 numbers per tile is smaller than LR, which has 12. **Predict:** we train all four combinations from the same initial
# weights, on the same batches, for the same number of steps. Rank them, and say which will beat bicubic interpolation. (*PCA (8)*
# is the bicubic picture, encoded and decoded by PCA with 8 numbers per tile. The scores are now on luma, which does not see wrong
# colours.)

# %%
batches = sr.pipeline.training_batches(
    train_pairs, lr_patch_size=12, batch_size=8, min_contrast=0.03
)
variants = {
    "neither": (False, False),
    "symmetric": (True, False),
    "image": (False, True),
    "both": (True, True),
}
rate = keras.optimizers.schedules.CosineDecay(
    0.0,
    here.skip_steps - here.skip_steps // 10,
    warmup_target=3e-3,
    warmup_steps=here.skip_steps // 10,
)
early, networks = {}, {"bicubic": sr.models.bicubic(scale)}
for name, (symmetric, image_skip) in variants.items():
    keras.utils.set_random_seed(1)
    networks[name] = by_hand(symmetric, image_skip)
    networks[name].compile(sr.optimizers.SOAP(rate), loss="mae")
    pieces = [here.skip_steps // 10, here.skip_steps - here.skip_steps // 10]
    networks[name].fit(batches, steps_per_epoch=pieces[0], verbose=0)
    early[f"{name}, {pieces[0]} steps"] = np.array(networks[name](lr[None]))[0]
    networks[name].fit(batches, steps_per_epoch=pieces[1], verbose=0)

# %%
from sr_keras.evaluation import score


def enlarge(model, lr):
    image = keras.ops.convert_to_numpy(model(lr[None]))[0]
    return sr.images.to_integer(np.clip(image, 0, 1))


def luma_scores(images, hr_file):
    rows = {name: score(hr_file, image, scale) for name, image in images.items()}
    return {name: (row["psnr_y"], row["ssim_y"]) for name, row in rows.items()}


# %%
enlarged = {}
for place, (lr_part, hr_part) in parts.items():
    x = sr.images.to_float(lr_part)
    found = {name: enlarge(model, x) for name, model in networks.items()}
    through_pca = squeeze(sr.images.to_float(found["bicubic"]), 8)[1]
    found["PCA (8)"] = sr.images.to_integer(np.clip(through_pca, 0, 1))
    for name, (psnr, ssim) in luma_scores(found, hr_part).items():
        print(f"{place:11}{name:10} {psnr:.2f} dB / {ssim:.4f}")
    enlarged[place] = found
print("x4, luma, 4 pixels cut, 8 bits; parts of both photos")

# %%
names_shown = ("bicubic", "PCA (8)", "neither", "symmetric", "both")
shown = {name: enlarged["motorcycle"][name] for name in names_shown}
sr.plotting.comparison(
    {**shown, "HR": hr_file},
    scores=luma_scores(shown, hr_file),
    crop=tank,
    columns=3,
    title="part of the motorcycle, x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
    whole=False,
)

# %% [markdown]
# How did they get there? These are the two networks without the skip from the image, after a tenth of their training and at its end:

# %%
first, last_step = here.skip_steps // 10, here.skip_steps
learned = {
    f"neither, {first} steps": early[f"neither, {first} steps"],
    f"neither, {last_step} steps": enlarged["motorcycle"]["neither"],
    f"symmetric, {first} steps": early[f"symmetric, {first} steps"],
    f"symmetric, {last_step} steps": enlarged["motorcycle"]["symmetric"],
}
sr.plotting.comparison(
    learned,
    crop=tank,
    columns=2,
    title="part of the motorcycle x4, as the networks learn",
    whole=False,
)

# %% [markdown]
# Without any skip, the network is 3.9 to 6.7 dB below bicubic interpolation after 250 steps. The size of its code is not the main
# reason: PCA with as many numbers loses less than 0.4 dB and keeps the red. So most of the gap is due to the network and its
# training. Possible reasons, which we do not separate: few steps from random weights, and a code after a ReLU, most values of which
# may be 0. (The fine mesh repeats with the strides: the transposed convolutions do not agree yet at neighbouring positions.) With
# the skip from the image alone, the scores equal those of bicubic interpolation: the network adds practically nothing. (A longer
# training might find a correction that fits through the code.)
#
# With symmetric skips alone, the network must first learn to reproduce the picture. After 250 steps, its PSNR is 0.2 dB below
# bicubic on the cat and 0.15 dB above it on the motorcycle, where its red is still too orange. Both kinds together are above
# bicubic on both photos. With one random seed and 250 steps, the scores, which are on luma, do not rank "symmetric" and "both" (in
# colour, "both" is clearly better here): in PSNR, each is ahead on one photo (by 0.09 and 0.24 dB), and in SSIM, "symmetric" is
# ahead on both.
#
# ## What does each skip carry?
#
# The package has a network with all skips that was trained on hundreds of photos. Its code holds 16 numbers for each tile. We run it
# layer by layer, so that we can leave out a skip or set the code to 0. The skip from the interpolated image to the output is
# called `skip`.

# %%
with_skips = sr.models.load("autoencoder-x4-bsds-small")
recipe = sr.weights.history(sr.weights.find("autoencoder-x4-bsds-small"))["recipe"]
fields = ("data", "steps", "batch_size", "optimizer", "loss")
print({field: recipe[field] for field in fields})


# %%
def run(model, lr, cut=()):
    """Runs the package's network without the connections named in `cut`."""
    layer, maps = model.get_layer, []
    image = layer("interpolation")(lr)
    x = layer("head")(layer("padding")(image))
    for i in range(3):
        maps.append(x)
        x = layer(f"encoder_{i}")(layer(f"down_{i}")(x))
    x = layer("code_0")(x) * float("code" not in cut)
    for i in (2, 1, 0):
        x = layer(f"up_{i}")(x)
        if f"skip_{i}" not in cut:
            x = x + maps[i]
        x = layer(f"decoder_{i}")(keras.ops.relu(x))
    x = layer("crop")([layer("tail")(x), image])
    return x if "skip" in cut else x + image


np.testing.assert_allclose(run(with_skips, lr[None]), with_skips(lr[None]), atol=1e-5)

# %% [markdown]
# **Predict:** we remove one connection at a time: `skip_0` at full size, `skip_1` at half size, `skip_2` at a quarter, the code, or
# the skip from the interpolated image. Which removal ruins the picture, and which only costs some sharpness?

# %%
whole = np.array(run(with_skips, lr[None]))[0]
everything = {"all": sr.images.to_integer(np.clip(whole, 0, 1))}
changes, cut_scores = {}, luma_scores(everything, hr_file)
for name in ("skip_0", "skip_1", "skip_2", "code", "skip"):
    image = np.array(run(with_skips, lr[None], cut=(name,)))[0]
    changes[name] = image - whole
    without = {name: sr.images.to_integer(np.clip(image, 0, 1))}
    cut_scores.update(luma_scores(without, hr_file))

to_code = keras.Model(with_skips.input, with_skips.get_layer("code_0").output)
zeros = np.mean(np.array(to_code(lr[None])) == 0)
print(f"{100 * zeros:.1f} % of the values of the code are 0")

# %%
top, left, height, width = tank
window = np.s_[top : top + height, left : left + width]
fig, axes = plt.subplots(2, 3, figsize=(11, 6), layout="constrained")
for ax, (name, change) in zip(axes.flat, changes.items(), strict=False):
    picture = 0.5 + change[window] / (6 * change.std())  # mid-grey: no change
    ax.imshow(np.clip(picture, 0, 1), interpolation="nearest")
    size_of_change = 255 * change.std()
    ax.set_title(
        f"without {name}: {cut_scores[name][0]:.2f} dB, change {size_of_change:.2f}",
        fontsize=10,
    )
    ax.set(xticks=[], yticks=[])
axes[1, 2].imshow(hr[window])
axes[1, 2].set_title(f"HR; nothing removed: {cut_scores['all'][0]:.2f} dB", fontsize=10)
axes[1, 2].set(xticks=[], yticks=[])
fig.suptitle(
    "Change of the output (standard deviation in grey levels), each scaled to its own "
    "range; PSNR on luma, 4 pixels cut, 8 bits",
    fontsize=10,
)
plt.show()

# %% [markdown]
# In this network, `skip` carries the picture itself: without it, the PSNR falls to 9 dB. The symmetric skips carry corrections at
# edges, worth 0.2 to 0.6 dB each, and flat areas change little (mid-grey). Setting the code to 0 changes the score by less than a
# hundredth of a decibel. (The picture of its change, only 0.04 grey levels, is amplified most.) The code ends in a ReLU, and nearly
# all of its values are 0 anyway: this network, after only 700 steps, makes practically no use of its code. Removing a connection
# shows what a *trained* network relies on. The four trainings above showed what networks can learn without it: there, symmetric
# skips alone carried the picture.
#
# A network with skips does not compress the image, because everything that goes around the code would have to be stored as well.
#
# ## Which errors does a loss measure?
#
# Training minimizes the loss, so a network does not learn to avoid errors that its loss does not measure. For a difference $d$ of two
# values, the common losses of single pixels are
#
# $$\mathrm{L1} = |d|, \qquad \mathrm{L2} = d^2, \qquad \mathrm{Charbonnier} = \sqrt{d^2 + \varepsilon^2}$$
#
# *Charbonnier* has been common in super-resolution since LapSRN (lesson 9). What counts in training is the derivative. **Predict:**
# with $\varepsilon = 0.01$, how large is the derivative of each loss for a difference of 0, of 0.005, and of 0.05?

# %%
d = np.linspace(-0.06, 0.06, 601).astype("float32")
epsilon = 0.01  # larger than the default of 0.001, so that the plot shows it
value_of = {"l1": np.abs(d), "l2": d**2, "charbonnier": np.sqrt(d**2 + epsilon**2)}
slope_of = {"l1": np.sign(d), "l2": 2 * d, "charbonnier": d / value_of["charbonnier"]}
fig, axes = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained")
for ax, curves, title in (
    (axes[0], value_of, "loss"),
    (axes[1], slope_of, "derivative"),
):
    for name, curve in curves.items():
        ax.plot(d, curve, label=name)
    ax.set(xlabel="difference d", title=title)
axes[0].legend(frameon=False)
plt.show()

true, pred = hr[None], bicubic[None]
for name, epsilon_of_loss in (("by default", 1e-3), ("in the plot", epsilon)):
    charbonnier = np.mean(np.sqrt((true - pred) ** 2 + epsilon_of_loss**2))
    package = float(sr.losses.Charbonnier(epsilon=epsilon_of_loss)(true, pred))
    np.testing.assert_allclose(charbonnier, package, rtol=1e-4)
    print(f"bicubic x4, Charbonnier with epsilon {name}: {charbonnier:.4f}")
print(f"L1: {np.abs(true - pred).mean():.4f}")

# %% [markdown]
# At 0.005 and 0.05, the derivatives are 1 and 1 (L1), 0.01 and 0.1 (L2), and 0.45 and 0.98 (Charbonnier). At 0, L1 has none, and
# the other two are 0. With L2, small errors hardly count, and large ones dominate. Charbonnier behaves like L1 for large errors and
# like a parabola, $\varepsilon + d^2 / (2\varepsilon)$, for those well below $\varepsilon$. Its derivative is larger there than that
# of L2, and does not jump at 0 as that of L1 does.
#
# Scores can be losses, too: `"ssim"` is 1 - SSIM. Our last example compares edges only: *HFENN*, the normalized high-frequency error
# norm, filters both images with a Laplacian of Gaussian (a blur, then the centre minus its surroundings, as in lesson 3) and compares
# the results.
#
# **Predict:** we damage the photo in five ways. Which losses hardly change if everything is brighter? Which loss is blind to stripes
# that are one pixel wide?

# %%
from scipy.ndimage import gaussian_filter

generator = np.random.default_rng(0)
damaged = {
    "blurred": gaussian_filter(hr, (1.5, 1.5, 0)),
    "one pixel to the right": np.roll(hr, 1, axis=1),
    "noise": hr + generator.normal(0, 0.05, hr.shape),
    "fine stripes": hr + 0.05 * (-1) ** np.arange(hr.shape[1])[:, None],
    "brighter": hr + 0.05,
}
names = ("l1", "l2", "charbonnier", "ssim", "hfenn")
losses = {name: sr.losses.get(name) for name in names}
values = np.array(
    [
        [float(loss(hr[None], np.float32(image)[None])) for loss in losses.values()]
        for image in damaged.values()
    ]
)

# %%
fig, ax = plt.subplots(figsize=(9, 3), layout="constrained")
relative = values / values[0]
ax.imshow(relative, cmap="Oranges", vmin=0, vmax=2, aspect="auto")
for (i, j), value in np.ndenumerate(relative):
    ax.text(j, i, f"{value:.2f}", ha="center", va="center")
ax.set_xticks(range(len(losses)), losses)
ax.set_yticks(range(len(damaged)), damaged)
ax.set_title(
    "Part of the motorcycle, RGB: each loss divided by its value for the blur",
    fontsize=10,
)
plt.show()
assert (relative[3:, 4] < 0.02).all()  # HFENN sees neither stripes nor brightness

# %% [markdown]
# HFENN is blind in two ways. It does not measure brightness, because its kernel sums to 0, nor an even slope, because the kernel is
# symmetric, and it does not measure the finest stripes, because its blur removes them. SSIM hardly changes with the brightness. All
# five losses rate a sharp photo that is shifted by one pixel about as bad as this blur (with a standard deviation of 1.5 pixels),
# or worse.
#
# ## Minimizing a loss over the pixels
#
# A network limits which pictures are possible, so we leave it out here. We start from a grey picture and change the *pixels*
# directly, by gradient descent on each loss, with Adam. (A `GradientTape` records the computation inside its block.
# `tape.gradient(value, x)` then returns the derivative of `value` with respect to each number in `x`.) **Predict:** what will HFENN
# never bring back?

# %%
import tensorflow as tf


def descend(loss, target):
    """Minimizes a loss over the pixels of an image that starts grey."""
    image = keras.Variable(np.full_like(target, 0.5))
    optimizer = keras.optimizers.Adam(0.02)
    optimizer.build([image])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss(target, image.value)
        optimizer.apply([tape.gradient(value, image.value)], [image])

    pictures = {}
    for i in range(1, here.stops[-1] + 1):
        step()
        if i in here.stops:
            pictures[i] = keras.ops.convert_to_numpy(image)[0]
    return pictures


# %%
target = hr[None, 12:132, 84:254]
descents = {n: descend(losses[n], target) for n in ("charbonnier", "ssim", "hfenn")}
sooner, later = (
    {f"{name}, {i} steps": descents[name][i] for name in descents} for i in here.stops
)
reached = {
    name: float(sr.metrics.psnr(target, image[None])[0])
    for name, image in {**sooner, **later}.items()
}
sr.plotting.comparison(
    {**sooner, **later},
    scores=reached,
    crop=(0, 0, 120, 170),
    columns=3,
    title="Gradient descent on pixels, from grey; PSNR on RGB, no border cut",
    whole=False,
)

# %% [markdown]
# HFENN brings back the edges but not the colours between them, because its value hardly depends on these. Fine ripples stay,
# because the blur in HFENN hides them, and a border stays grey, because the kernel is used only where it fits into the image. SSIM
# restores edges and texture first, and the colour of large areas last. Charbonnier moves every pixel towards its target from the
# first step on. A loss that is blind to something can be used together with one that is not: exercise 4 does this.
#
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** How many pixels wide is the receptive field of one number in the code of an encoder with 3 x 3 convolutions of
# strides 1, 2, 1, 2, 1 and 1?

# %%
answer = None  # your number

sr.course.check(answer, "05.1")

# %% tags=["solution"]
# @title Solution 1
answer, step = 1, 1  # step: distance in pixels between neighbours of this layer
for stride in (1, 2, 1, 2, 1, 1):
    answer += 2 * step  # one more neighbour on each side
    step *= stride
    print(f"stride {stride}: sees {answer} pixels, neighbours {step} pixels apart")
sr.course.check(answer, "05.1")

# measured: with all weights 1, which pixels have a nonzero gradient?
small = sr.models.autoencoder(1, filters=(16, 8), skips=False)
small.set_weights([np.ones_like(weight) for weight in small.get_weights()])
encoder = keras.Model(small.input, small.get_layer("code_0").output)
ones = tf.Variable(tf.ones((1, 64, 64, 3)))
with tf.GradientTape() as tape:
    in_code = encoder(ones)[0, 8, 8, 0]
assert tape.gradient(in_code, ones).numpy()[0].any(axis=(0, 2)).sum() == answer

# %% [markdown]
# **Exercise 2.** `sr.models.autoencoder(1)` has the filters `(64, 64, 32)`, with one stride of 2 for each. How many numbers of an
# RGB image are there for each number of its code? And how many numbers per tile of 8 x 8 pixels do its three symmetric skips carry?

# %%
in_image = None  # numbers of the image for each number of the code
around = None  # numbers in the three skips for each tile

sr.course.check(in_image, "05.2a")
sr.course.check(around, "05.2b")

# %% tags=["solution"]
# @title Solution 2
in_image = 8 * 8 * 3 / 32  # three strides of 2: tiles of 8 x 8 pixels
around = 64 * 8**2 + 64 * 4**2 + 64 * 2**2  # at full, half and quarter size
sr.course.check(in_image, "05.2a")
sr.course.check(around, "05.2b")
print(f"{in_image} and {around}, which is {around / depth:g} times the image")

large = sr.models.autoencoder(1)
layers = ("code_0", "head", "encoder_0", "encoder_1")
outputs = [large.get_layer(name).output for name in layers]
patch = hr[None, :64, :64]  # 64 tiles
in_code, *in_skips = (np.size(x) for x in keras.Model(large.input, outputs)(patch))
assert in_image == patch.size / in_code and around == sum(in_skips) / 64

# %% [markdown]
# **Exercise 3.** Remove the three symmetric skips of `with_skips` together. By how many decibels does the PSNR of the motorcycle
# fall, and is this more or less than the three separate falls together? Which picture is left?

# %%
fall = None  # in dB; use run, sr.images.to_integer and luma_scores, as above

sr.course.check(fall, "05.3")

# %% tags=["solution"]
# @title Solution 3
three = ("skip_0", "skip_1", "skip_2")
image = np.array(run(with_skips, lr[None], cut=three))[0]
rest = sr.images.to_integer(np.clip(image, 0, 1))
cut_scores.update(luma_scores({"three": rest}, hr_file))
falls = {name: cut_scores["all"][0] - cut_scores[name][0] for name in cut_scores}
fall = falls["three"]
sr.course.check(fall, "05.3")
print(f"together {fall:.2f} dB, one at a time {sum(falls[n] for n in three):.2f} dB")
change = np.abs(rest.astype(int) - enlarged["motorcycle"]["bicubic"]).max()
print(f"largest difference from bicubic interpolation: {change} of 255 grey levels")

# %% [markdown] tags=["solution"]
# The separate falls almost add up. What is left is almost exactly the bicubic picture, because only the code reaches the decoder
# now, and it is almost 0. All that this network has learned passes through the symmetric skips.

# %% [markdown]
# **Exercise 4.** Write a loss that compares the *differences between neighbouring pixels*, vertically and horizontally, by their
# mean absolute error. Is this loss also blind to brightness? Let `descend` start from grey with this loss alone, and then together
# with L1. (`sr.losses.WeightedSum([(1, "l1"), (1, your_loss)])` adds losses.)


# %%
class Differences(keras.losses.Loss):
    def call(self, y_true, y_pred): ...  # (batch, height, width, 3) -> (batch,)


# %% tags=["solution"]
# @title Solution 4
class Differences(keras.losses.Loss):
    def call(self, y_true, y_pred):
        error = y_true - y_pred
        down = error[:, 1:] - error[:, :-1]
        across = error[:, :, 1:] - error[:, :, :-1]
        return sum(keras.ops.mean(keras.ops.abs(x), (1, 2, 3)) for x in (down, across))


both = sr.losses.WeightedSum([(1, "l1"), (1, Differences(name="differences"))])
print(f"brighter by 0.05: {float(Differences()(target, target + 0.05)):.6f}")
minimized = {
    "differences": descend(Differences(), target)[here.stops[-1]],
    "with L1": descend(both, target)[here.stops[-1]],
}
sr.plotting.comparison(
    {**minimized, "HR": target[0]},
    crop=(0, 0, 120, 170),
    title=f"Gradient descent on pixels, {here.stops[-1]} steps from grey",
    whole=False,
)

# %% [markdown] tags=["solution"]
# Alone, the loss restores the edges, but after 200 steps not the colours of large areas. An error that is the same everywhere does
# not count at all, and one that changes slowly over the picture has small differences, so it hardly counts. With L1, the picture is
# complete.

# %% [markdown]
# **Exercise 5.** A bottleneck can be useful. Add noise with a standard deviation of 0.1 to `hr`, and pass it through `squeeze` with
# `k` = 1, 3, 6, 12, 24, 48, 96 and 192. Which of them gives the highest PSNR against the clean photo, and why is it neither the
# smallest nor the largest?

# %%
noisy = hr + generator.normal(0, 0.1, hr.shape).astype("float32")
best = None  # your k

# %% tags=["solution"]
# @title Solution 5
sizes = (1, 3, 6, 12, 24, 48, 96, 192)
fig, ax = plt.subplots(figsize=(8, 2.8), layout="constrained")
for name, image in (("clean", hr), ("noisy", noisy)):
    curve = [psnr_rgb(squeeze(image, k)[1]) for k in sizes]
    ax.plot(sizes[:-1], curve[:-1], "o-", label=f"from the {name} photo")
    best = sizes[int(np.argmax(curve))]
    print(f"{name}: best of these with {best} numbers per tile")
ax.axhline(psnr_rgb(noisy), color="0.4", linestyle="--", label="noisy photo itself")
ax.set(xscale="log", xlabel="numbers per tile", ylabel="PSNR on RGB (dB)")
ax.set_xticks(sizes[:-1], sizes[:-1])
ax.minorticks_off()
ax.legend(frameon=False)
plt.show()
assert 1 < best < 192

# %% [markdown] tags=["solution"]
# The noise is distributed evenly over all 192 directions, and the photo is mostly in the first ones. Each further number adds less of
# the photo, and as much noise as every other number. The maximum is flat: 24 numbers are almost as good as 48.
#
# The curves end at 96. With all 192 numbers, the clean photo returns unchanged, and the noisy one remains noisy (dashed line).

# %% [markdown]
# ## Summary
#
# - Stride shrinks an image, and dilation enlarges the receptive field without more weights.
# - An autoencoder passes an image through a code of fewer numbers. The best linear autoencoder is PCA, and a trained linear
#   autoencoder finds the same space with other coordinates.
# - A nonlinear autoencoder should be compared with PCA at the same number of values. A network that sees neighbouring codes can do
#   better than PCA, which treats each tile alone.
# - Symmetric skips lead around the bottleneck, and the skip from the image to the output leaves the network only a correction to learn.
#   Test each connection: a trained network can ignore its code, as ours did.
# - Charbonnier is L1 with a rounded tip. A loss can be blind to some errors, as HFENN is to brightness, and a pixel loss beside it
#   fixes this.
#
# ## Further reading
#
# - Dumoulin and Visin, [A guide to convolution arithmetic for deep learning](https://arxiv.org/abs/1603.07285), 2016: strides and
#   transposed convolutions, with drawings.
# - Yu and Koltun, [Multi-scale context aggregation by dilated convolutions](https://arxiv.org/abs/1511.07122), 2016.
# - Baldi and Hornik, [Neural networks and principal component analysis](https://doi.org/10.1016/0893-6080(89)90014-2), 1989: why a
#   linear autoencoder finds PCA.
# - Hinton and Salakhutdinov, [Reducing the dimensionality of data with neural networks](https://doi.org/10.1126/science.1127647),
#   2006: deep autoencoders compared with principal components.
# - Mao, Shen and Yang, [Image restoration using convolutional auto-encoders with symmetric skip
#   connections](https://arxiv.org/abs/1606.08921), 2016: RED-Net.
# - Charbonnier and others, [Two deterministic half-quadratic regularization algorithms for computed
#   imaging](https://doi.org/10.1109/ICIP.1994.413553), 1994: the origin of the Charbonnier loss.
# - Zhao, Gallo, Frosio and Kautz, [Loss functions for image restoration with neural networks](https://arxiv.org/abs/1511.08861),
#   2017: L2, L1, SSIM, MS-SSIM, and a weighted sum of MS-SSIM and L1, compared on one network.
# - Ravishankar and Bresler, [MR image reconstruction from highly undersampled k-space data by dictionary
#   learning](https://doi.org/10.1109/TMI.2010.2090538), 2011: the origin of HFEN, which HFENN divides by
#   the norm of the filtered original.
