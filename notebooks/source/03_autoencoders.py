# %% [markdown]
# # 3. Autoencoders and losses
#
# What a convolution does, what a bottleneck loses and skips give back, and one small network trained with losses that disagree.
#
# **You will be able to**
#
# - write a convolution, with stride, channels, bias and ReLU, and say how far a stack of them sees;
# - build an autoencoder, and count how many numbers pass through its bottleneck;
# - say what each skip of a trained network carries, by cutting it;
# - write HFENN, compare it with MSE, PSNR and SSIM, and choose the weights of a sum of losses.
#
# **You need** lesson 1 (PSNR, SSIM, bicubic interpolation), lesson 2 (pairs, patches) and a little Keras: layers, `compile`, `fit`.
#
# **Time:** 3.5 minutes of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate); reading and exercises take longer.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/03_autoencoders.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/03_autoencoders.py) · Previous: [2. Data: photos, pairs and patches](02_data.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/02_data.ipynb)) · Next: [4. SRCNN: interpolate first, then correct](04_srcnn.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/04_srcnn.ipynb)) · [All lessons](README.md)

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
    minutes=(0.8, 3.5, 1),
    steps=(8, 150, 1000),
    lr_size=(8, 12, 12),
    learning_rate=(2e-3, 1e-3, 1e-3),
    stops=((10, 20), (40, 200), (40, 200)),
)

# %% [markdown]
# ## What a convolution does
#
# A *kernel* of 3 x 3 weights slides over the image. At each place, nine pixels are multiplied by the nine weights and added up. Beyond the
# border we take zeros. (Mathematicians turn the kernel round first; networks do not.)

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np

scale = 4
train_pairs = sr.datasets.samples(scale)
pairs = sr.datasets.samples(scale, split="validation")


def part(pair, top, left):
    """Cuts 64 x 96 pixels of an LR image, and what they show in HR."""
    return [
        image[k * top : k * (top + 64), k * left : k * (left + 96)]
        for image, k in zip(pair, (1, scale), strict=True)
    ]


parts = {"cat": part(pairs[0], 5, 8), "motorcycle": part(pairs[1], 32, 60)}
lr_file, hr_file = parts["motorcycle"]
lr, hr = sr.images.to_float(lr_file), sr.images.to_float(hr_file)
grey = sr.images.luma(hr)[..., 0]
print("LR", lr.shape, "HR", hr.shape, "luma", grey.shape)


# %%
def convolve(image, kernel):
    height, width = image.shape
    padded = np.pad(image, 1)
    return sum(
        kernel[i, j] * padded[i : i + height, j : j + width]
        for i in range(3)
        for j in range(3)
    )


# %% [markdown]
# **Predict:** what will these three kernels make of a photo? Hint: add up the weights of each. What becomes of an area where all pixels are
# equal?

# %%
kernels = {
    "mean": np.full((3, 3), 1 / 9),
    "left to right": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4,
    "centre against the rest": np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
}
results = {name: convolve(grey, kernel) for name, kernel in kernels.items()}
for name, kernel in kernels.items():
    package = keras.ops.conv(
        grey[None, ..., None], kernel[..., None, None].astype("float32"), padding="same"
    )
    np.testing.assert_allclose(results[name], package[0, ..., 0], atol=1e-5)

# %%
window = np.s_[22:142, 90:270]  # rows and columns: the tank
fig, axes = plt.subplots(1, 4, figsize=(10, 2.3), layout="constrained")
axes[0].imshow(grey[window], cmap="gray", vmin=0, vmax=1)
axes[0].set_title("luma", fontsize=10)
for ax, (name, result) in zip(axes[1:], results.items(), strict=True):
    low, high = (0, 1) if name == "mean" else (-0.5, 0.5)  # mid-grey is 0
    ax.imshow(result[window], cmap="gray", vmin=low, vmax=high)
    ax.set_title(name, fontsize=10)
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The mean sums to 1 and blurs. The others sum to 0: flat areas become 0 (drawn mid-grey), edges do not. "Left to right" answers to changes in that direction
# only, and its sign says which side is brighter.
#
# ## From kernels to a layer
#
# A Keras layer has one such kernel for each pair of an input and an output channel. It adds what the input channels give, adds a
# bias, and then *ReLU* sets negative values to 0.

# %%
layer = keras.layers.Conv2D(8, 3, padding="same", activation="relu")
output = keras.ops.convert_to_numpy(layer(hr[None]))[0]
kernel, bias = layer.get_weights()
print("kernel", kernel.shape, "bias", bias.shape, "weights:", layer.count_params())

k = 5  # one of the eight output channels
total = sum(convolve(hr[..., c], kernel[:, :, c, k]) for c in range(3))
np.testing.assert_allclose(np.maximum(total + bias[k], 0), output[..., k], atol=1e-5)

# %% [markdown]
# An encoder also makes images smaller. With *stride* 2, the kernel moves two pixels at a time. **Predict:** is that the same as to convolve and
# then to drop every second row and column?

# %%
strided = keras.ops.conv(hr[None], kernel, strides=2, padding="same")
full = keras.ops.conv(hr[None], kernel, padding="same")
np.testing.assert_allclose(strided, full[:, 1::2, 1::2], atol=1e-5)
print(hr[None].shape, "->", strided.shape)

# %% [markdown]
# Yes, at a quarter of the work. Which rows stay is a convention: TensorFlow keeps 1, 3, 5 if the size is even. Learned kernels get used
# to it.
#
# ## How far does a stack see?
#
# One 3 x 3 convolution sees one pixel to each side, the next one more. *Dilation* sets gaps between the nine pixels. **Predict:** how wide
# is the view (the *receptive field*) of three layers with dilations 1, 2 and 4?


# %%
def view(dilations):
    """Counts the ways from each input pixel to the middle of the output."""
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
    ways = view(dilations)
    side = (ways > 0).any(axis=0).sum()
    ax.imshow(np.where(ways > 0, ways, np.nan), cmap="viridis", vmin=0)
    ax.set_title(f"dilations {dilations}: {side} x {side}", fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Three plain layers see 7 x 7 pixels, the middle most often (yellow). With dilations 1, 2 and 4 it is 15 x 15, unevenly but without a hole, for the same
# number of weights. The package's autoencoder takes such `dilations` for its innermost layers.
#
# ## The best bottleneck without learning
#
# An *autoencoder* squeezes an image into a *code* of fewer numbers (the encoder) and makes an image of it again (the decoder). For weighted
# sums without ReLU, the one with the least squared error is known: principal components.
#
# We cut photos into tiles of 8 x 8 pixels, 192 numbers each, and ask in which directions these vary most: the eigenvectors of their
# covariance with the largest eigenvalues.

# %%
size, depth = 8, 8 * 8 * 3


def tiles_of(image):
    rows, columns = image.shape[0] // size, image.shape[1] // size
    x = image[: rows * size, : columns * size].reshape(rows, size, columns, size, 3)
    return x.transpose(0, 2, 1, 3, 4).reshape(-1, depth)


photos = [sr.images.to_float(train_pairs.hr(i)) for i in range(len(train_pairs))]
examples = np.concatenate([tiles_of(photo) for photo in photos])
mean = examples.mean(axis=0)
_, directions = np.linalg.eigh(np.cov(examples - mean, rowvar=False))
directions = directions[:, ::-1].astype("float32")  # most important first
print(f"{len(examples)} tiles of {', '.join(train_pairs.names)}")

# %% [markdown]
# Each direction is a tile itself. **Predict:** what do the most important ones look like: letters, eyes, edges, or something simpler?

# %%
fig, axes = plt.subplots(2, 8, figsize=(9, 2.6), layout="constrained")
for k, ax in enumerate(axes.flat):
    picture = directions[:, k].reshape(size, size, 3)
    ax.imshow(0.5 + 0.45 * picture / np.abs(picture).max(), interpolation="nearest")
    ax.set_title(f"{k}", fontsize=9)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Flat tiles of one colour, then slopes and stripes: slow waves first, detail late. (The sign is free: a direction and its negative are the same.)
#
# The encoder multiplies a tile by the first `k` directions. That is a convolution with 8 x 8 kernels and stride 8. The decoder is a transposed
# convolution (lesson 5) with *the same* kernels.


# %%
def squeeze(image, k):
    """Returns the code of an image, k numbers a tile, and the image made of it."""
    height, width = image.shape[:2]
    kernel = directions[:, :k].reshape(size, size, 3, k)
    middle = np.tile(mean.reshape(size, size, 3), (height // size, width // size, 1))
    x = image[None] - middle
    code = keras.ops.conv(x, kernel, strides=size)
    back = keras.ops.conv_transpose(code, kernel, strides=size)
    return keras.ops.convert_to_numpy(code), np.array(back)[0] + middle


code, back = squeeze(hr, 12)
by_hand = (tiles_of(hr) - mean) @ directions[:, :12]
np.testing.assert_allclose(code.reshape(-1, 12), by_hand, atol=1e-4)
np.testing.assert_allclose(squeeze(hr, depth)[1], hr, atol=1e-4)

# %% [markdown]
# By the last assertion, all 192 numbers lose nothing. An LR image at x4 is a code too: 2 x 2 x 3 = 12 numbers a tile, with bicubic interpolation as its
# decoder. **Predict:** which is better, that or our 12 numbers?


# %%
def psnr_rgb(image, border=8):
    image = np.clip(image, 0, 1)[None].astype("float32")
    return float(sr.metrics.psnr(hr[None], image, border=border)[0])


tank = (48, 144, 56, 80)  # its name: top, left, height, width
squeezed = {f"{k} of 192": squeeze(hr, k)[1] for k in (1, 3, 12, 48)}
bicubic = keras.ops.convert_to_numpy(sr.models.bicubic(scale)(lr[None]))[0]
squeezed["LR (12), bicubic"] = bicubic
sr.plotting.comparison(
    {**squeezed, "HR": hr},
    scores={name: psnr_rgb(image) for name, image in squeezed.items()},
    crop=tank,
    columns=3,
    title="numbers for a tile of 8 x 8; part of the motorcycle, PSNR on RGB, 8 pixels cut",
    whole=False,
)

# %% [markdown]
# One number is a brownish mosaic, 48 are nearly the photo. Our twelve numbers score higher than the twelve of LR. But every tile stands alone,
# and its borders show.
#
# ## Encoder, bottleneck, decoder
#
# Networks do it in steps: convolutions of stride 2 with ReLU, so that the code can look beyond its tile. Here is one by hand, with two levels
# and no skips.


# %%
def conv(filters, strides=1):
    return keras.layers.Conv2D(filters, 3, strides, "same", activation="relu")


def up(filters):
    return keras.layers.Conv2DTranspose(filters, 4, 2, "same", activation="relu")


by_hand = keras.Sequential(
    [
        keras.Input((None, None, 3)),
        conv(16),
        *(conv(16, strides=2), conv(16)),  # half the size
        *(conv(8, strides=2), conv(8)),  # a quarter
        conv(8),  # the code
        *(up(16), conv(16)),  # half
        *(up(16), conv(16)),  # full
        keras.layers.Conv2D(3, 3, padding="same"),
    ]
)

# %%
small = sr.models.autoencoder(1, filters=(16, 8), skips=False)
small.set_weights(by_hand.get_weights())
patch = hr[None, :64, :64]
np.testing.assert_allclose(by_hand(patch), small(patch), atol=1e-5)
print("parameters:", by_hand.count_params())

# %% [markdown]
# Same weights, same picture. Now a trained one: three levels, for super-resolution. The LR image is enlarged by bicubic interpolation first, and
# the network sees only that.

# %%
with_skips = sr.models.load("autoencoder-x4-bsds-small")
bottleneck = sr.models.load("autoencoder-x4-bsds-bottleneck")
names = ["head", "encoder_0", "encoder_1", "encoder_2", "code_0"]
names += ["decoder_2", "decoder_1", "decoder_0", "tail"]
probe = keras.Model(
    with_skips.input, [with_skips.get_layer(name).output for name in names]
)
shapes = [tuple(x.shape[1:]) for x in probe(lr[None, :16, :16])]
for name, shape in zip(names, shapes, strict=True):
    print(f"{name:9} {shape!s:13} {np.prod(shape):7} numbers")

for name in ("small", "bottleneck"):
    file = sr.pretrained.find(f"autoencoder-x4-bsds-{name}")
    recipe = sr.pretrained.training_of(file)["recipe"]
    print(f"{name}:", {k: recipe[k] for k in ("data", "steps", "batch_size", "loss")})

# %% [markdown]
# Drawn: height is the size, width the number of channels. *Symmetric skips* add each map on the left to the map of the same size on the
# right, around the bottleneck. One more skip, not drawn, adds the interpolated image to the output. The network called `bottleneck` has
# none of them.

# %%
fig, ax = plt.subplots(figsize=(9, 3.4), layout="constrained")
centres = {}
for i, (name, (height, _, channels)) in enumerate(zip(names, shapes, strict=True)):
    color = "#D55E00" if name == "code_0" else "#0072B2"
    ax.add_patch(plt.Rectangle((20 * i, -height / 2), channels / 3, height, fc=color))
    middle = centres[name] = 20 * i + channels / 6
    text = f"{name}\n{height}x{height}\nx {channels}"
    ax.text(middle, -42, text, ha="center", va="top", fontsize=9)
for i in range(3):
    left, right = "head" if i == 0 else f"encoder_{i - 1}", f"decoder_{i}"
    top = 40 - 12 * i
    x = [centres[left]] * 2 + [centres[right]] * 2
    y = [shapes[names.index(left)][0] / 2, top]
    ax.plot(x, y + y[::-1], color="0.4")
    ax.text(100, top + 1, f"skip_{i}", ha="center", va="bottom", fontsize=9)
ax.set(xlim=(-12, 172), ylim=(-66, 52))
ax.axis("off")
plt.show()

# %% [markdown]
# The code holds 16 numbers for each 8 x 8 tile, and LR has 12 there: by counting, everything could pass. **Predict:** does the network without skips
# beat bicubic, after the same training as the one with them?

# %%
from sr_keras.evaluation import score


def enlarge(model, lr):
    image = keras.ops.convert_to_numpy(model(lr[None]))[0]
    return sr.images.to_integer(image)


def luma_scores(images, hr_file):
    rows = {name: score(hr_file, image, scale) for name, image in images.items()}
    return {name: (row["psnr_y"], row["ssim_y"]) for name, row in rows.items()}


networks = {
    "bicubic": sr.models.bicubic(scale),
    "bottleneck": bottleneck,
    "with skips": with_skips,
}
enlarged = {name: enlarge(model, lr) for name, model in networks.items()}

# %%
sr.plotting.comparison(
    {"LR": lr_file, **enlarged, "HR": hr_file},
    scores=luma_scores(enlarged, hr_file),
    crop=tank,
    columns=3,
    title="part of the motorcycle, x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
    whole=False,
)

# %%
scores = luma_scores(enlarged, hr_file)
assert scores["with skips"][0] > scores["bicubic"][0] > scores["bottleneck"][0]
sr.plotting.slider(
    {"bottleneck": enlarged["bottleneck"], "with skips": enlarged["with skips"]},
    crop=(2, 40, 150, 210),
    zoom=3,
    title="motorcycle x4: what does not fit through the bottleneck",
)

# %% [markdown]
# It does not: colour is gone, and so is all detail. Counting says what *could* pass; it does not say that 700 steps find out how. With skips the network
# starts from the interpolated image, and sharpens it a little.
#
# As compression it is worth nothing: what goes around the code would have to be stored, too.
#
# ## What does each skip carry?
#
# We run the trained network layer by layer, so that we can leave skips out, or set the code to 0. The one from the interpolated image to the
# output is called `skip`: with it, the rest only corrects.


# %%
def run(model, lr, cut=()):
    """Runs the package's network, without what is named in `cut`."""
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
# **Predict:** we cut one of them at a time: `skip_0` at full size, `skip_1` at half, `skip_2` at a quarter, the code, or the last skip. Which cut ruins the
# picture, and which only its finish?

# %%
whole = np.array(run(with_skips, lr[None]))[0]
changes, cut_scores = {}, {}
for name in ("skip_0", "skip_1", "skip_2", "code", "skip"):
    image = np.array(run(with_skips, lr[None], cut=(name,)))[0]
    changes[name] = image - whole
    without = {name: sr.images.to_integer(np.clip(image, 0, 1))}
    cut_scores.update(luma_scores(without, hr_file))

fig, axes = plt.subplots(1, 5, figsize=(10, 2.2), layout="constrained")
for ax, (name, change) in zip(axes, changes.items(), strict=True):
    picture = 0.5 + change[window] / (6 * change.std())  # mid-grey: no change
    ax.imshow(np.clip(picture, 0, 1), interpolation="nearest")
    ax.set_title(f"without {name}:\n{cut_scores[name][0]:.2f} dB", fontsize=9)
    ax.set(xticks=[], yticks=[])
fig.suptitle(
    "What changes, each stretched; PSNR on luma, 4 pixels cut, 8 bits\n"
    f"nothing cut: {luma_scores(enlarged, hr_file)['with skips'][0]:.2f} dB",
    fontsize=10,
)
plt.show()

# %% [markdown]
# Only the last skip carries the picture itself. The symmetric skips carry corrections: edges change, flat areas stay (mid-grey). And the code is worth next to nothing.
# Given ways around it, this network does not use its bottleneck.
#
# ## What a loss sees
#
# Training makes one number smaller, and knows nothing else of pictures. Besides the squared error (MSE, `"l2"`) and the absolute error (`"l1"`),
# there are PSNR and SSIM from lesson 1, and *HFENN* (high-frequency error norm, normalized).
#
# HFENN compares edges. It convolves both images with a *Laplacian of Gaussian*, which blurs a little and then compares the centre with
# the rest. By hand:

# %%
from scipy.signal import convolve2d

offset = np.arange(15) - 7
square = offset[:, None] ** 2 + offset**2  # squared distance to the centre
gaussian = np.exp(-square / (2 * 1.5**2))
laplacian = gaussian / gaussian.sum() * (square - 2 * 1.5**2) / 1.5**4
laplacian -= laplacian.mean()  # flat areas give exactly 0


def edges(image):
    return convolve2d(image, laplacian, mode="valid")


# %%
grey_bicubic = sr.images.luma(np.clip(bicubic, 0, 1))[..., 0]
missing = edges(grey - grey_bicubic)
by_hand = np.linalg.norm(missing) / np.linalg.norm(edges(grey))
package = sr.losses.hfenn(grey[None, ..., None], grey_bicubic[None, ..., None])[0]
np.testing.assert_allclose(by_hand, package, atol=1e-4)
print(
    f"HFENN of bicubic x4: {by_hand:.3f} (part of the motorcycle, luma, no border cut)"
)

# %%
pictures = {
    "HR": (edges(grey), 0.06),
    "bicubic": (edges(grey_bicubic), 0.06),
    "what bicubic misses": (missing, 0.06),
}
fig, axes = plt.subplots(1, 4, figsize=(10, 2.3), layout="constrained")
axes[0].imshow(laplacian, cmap="gray")
axes[0].set_title("the kernel, 15 x 15", fontsize=10)
for ax, (name, (picture, limit)) in zip(axes[1:], pictures.items(), strict=True):
    ax.imshow(picture[15:135, 83:263], cmap="gray", vmin=-limit, vmax=limit)
    ax.set_title(name, fontsize=10)
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# HFENN is the size of the right picture, divided by that of the HR picture beside the kernel: 0 if all edges are right, 1 if all are missing.
#
# **Predict:** five wrongs are done to the photo. Which losses hardly notice that everything is brighter? Which does not see stripes one pixel wide?

# %%
from scipy.ndimage import gaussian_filter

generator = np.random.default_rng(0)
wrongs = {
    "blurred": gaussian_filter(hr, (1.5, 1.5, 0)),
    "one pixel to the right": np.roll(hr, 1, axis=1),
    "noise": hr + generator.normal(0, 0.05, hr.shape),
    "fine stripes": hr + 0.05 * (-1) ** np.arange(hr.shape[1])[:, None],
    "brighter": hr + 0.05,
}
losses = {name: sr.losses.get(name) for name in ("l1", "l2", "ssim", "hfenn")}
values = np.array(
    [
        [float(loss(hr[None], np.float32(wrong)[None])) for loss in losses.values()]
        for wrong in wrongs.values()
    ]
)

# %%
fig, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
relative = values / values[0]
ax.imshow(relative, cmap="Oranges", vmin=0, vmax=2, aspect="auto")
for (i, j), value in np.ndenumerate(relative):
    ax.text(j, i, f"{value:.2f}", ha="center", va="center")
ax.set_xticks(range(len(losses)), losses)
ax.set_yticks(range(len(wrongs)), wrongs)
ax.set_title(
    "part of the motorcycle, RGB: each loss as a multiple of its value for the blur",
    fontsize=10,
)
plt.show()
assert (relative[3:, 3] < 0.02).all()  # HFENN: neither stripes nor brightness

# %% [markdown]
# HFENN is blind at both ends: to brightness, since its kernel sums to 0, and to the finest stripes, which its blur removes. SSIM hardly minds brightness.
# And for all four, a sharp photo one pixel off is about as wrong as a blurred one, or worse.
#
# ## What a loss wants
#
# A network can hide what its loss asks for. So no network now: we start from a grey picture, and let each loss move the *pixels* down
# its gradient. (A `GradientTape` records what is computed within it; `tape.gradient(value, x)` is then the derivative of `value` by each number in `x`.)
# **Predict:** what will HFENN never bring back?

# %%
import tensorflow as tf


def descend(loss, target):
    """Moves the pixels of a grey picture until the loss has what it wants."""
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
target = hr[None, 22:118, 105:249]
pictures = {name: descend(losses[name], target) for name in ("l2", "ssim", "hfenn")}
early, late = (
    {f"{name}, {i} steps": pictures[name][i] for name in pictures} for i in here.stops
)
scores = {
    name: float(sr.metrics.psnr(target, image[None])[0])
    for name, image in {**early, **late}.items()
}
sr.plotting.comparison(
    {**early, "HR": target[0], **late},
    scores=scores,
    crop=(20, 36, 64, 80),
    columns=4,
    title="Pixels from grey down the gradient; PSNR on RGB, no border cut",
    whole=False,
)

# %% [markdown]
# HFENN brings back the edges, not the colours between them: what a loss does not see has hardly any gradient. SSIM gets there late: wide areas come last. Only `"l2"` cares for
# each pixel from the first step on.
#
# And PSNR as a loss? It is the squared error under a logarithm. **Predict:** for a single image, does its gradient point elsewhere than
# that of the squared error?


# %%
def gradient(loss, y_true, y_pred):
    y_pred = tf.constant(y_pred)
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        value = loss(y_true, y_pred)
    return tape.gradient(value, y_pred).numpy()


easy, hard = hr[60:124, 60:124], hr[160:224, 120:184]
true = np.stack([easy, hard])
pred = np.stack([bicubic[60:124, 60:124], bicubic[160:224, 120:184]])
for name, i in (("easy", [0]), ("hard", [1]), ("both, in a batch", [0, 1])):
    to_psnr, to_l2 = (
        gradient(sr.losses.get(loss), true[i], pred[i]).reshape(len(i), -1)
        for loss in ("psnr", "l2")
    )
    ratio = np.linalg.norm(to_psnr, axis=1) / np.linalg.norm(to_l2, axis=1)
    cosine = (to_psnr * to_l2).sum(axis=1) / np.linalg.norm(to_psnr, axis=1)
    cosine /= np.linalg.norm(to_l2, axis=1)
    print(
        f"{name:16} cosine {cosine.round(4)}, PSNR's is {ratio.round()} times as long"
    )
    np.testing.assert_allclose(cosine, 1, atol=1e-3)

# %% [markdown]
# The direction is the same, the length is not: in a batch, PSNR gives more weight to images that are nearly right. Adam does not mind one
# common factor, but these are two.
#
# ## Why they blur
#
# An LR image has many possible HR images (lesson 1). Say an edge is at one of five places, all equally likely. What single answer makes the
# *expected* loss smallest?

# %%
x = np.arange(16)
likely = np.array([(x >= place).astype(float) for place in (5, 6, 8, 10, 11)])
answers = {"mean": likely.mean(axis=0), "median": np.median(likely, axis=0)}
for name, answer in answers.items():
    l1, l2 = np.abs(likely - answer).mean(), ((likely - answer) ** 2).mean()
    print(f"{name:6} expected L1 {l1:.4f}, expected L2 {l2:.4f}")

fig, ax = plt.subplots(figsize=(8, 2.4), layout="constrained")
for line in likely:
    ax.step(x, line, where="mid", color="0.8")
for (name, answer), color in zip(answers.items(), ("#0072B2", "#D55E00"), strict=True):
    ax.step(x, answer, where="mid", color=color, label=name, linewidth=2)
ax.set(xlabel="pixel", yticks=[0, 1], ylabel="brightness")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# The mean is best for L2, and it is a ramp: blur is the *right* answer to the squared error. The median is best for L1. It is sharp here,
# but may stand at the wrong place.
#
# ## The same network, trained with each loss
#
# Now for real. A small network, whose last layer starts at zero: so at the start it *is* bicubic interpolation, and each loss may move it as
# it likes.


# %%
def fresh():
    keras.utils.set_random_seed(1)  # the same start each time
    model = sr.models.autoencoder(scale, filters=(16, 16, 8))
    tail = model.get_layer("tail")
    tail.set_weights([np.zeros_like(weight) for weight in tail.get_weights()])
    return model


batches = sr.pipeline.training_batches(train_pairs, lr_size=here.lr_size, batch_size=8)
np.testing.assert_allclose(fresh()(lr[None])[0], bicubic, atol=1e-6)
print("parameters:", fresh().count_params())

# %% [markdown]
# A sum of losses needs weights. Their values differ in size: so we measure them at the start, and weight each by one over
# its value. Then each term begins as 1.

# %%
start = {"l1": 0, "ssim": 0, "hfenn": 0}
for lr_patches, hr_patches in batches.take(5):
    output = sr.models.bicubic(scale)(lr_patches)
    for name in start:
        start[name] += float(sr.losses.get(name)(hr_patches, output)) / 5
print("at the start:", {name: round(value, 3) for name, value in start.items()})


def mixed(*names):
    return sr.losses.WeightedSum([(1 / start[name], name) for name in names])


# %%
names = ("l2", "ssim", "hfenn") if here.fast else ("l1", "l2", "psnr", "ssim", "hfenn")
losses = {name: sr.losses.get(name) for name in names}
losses["l1 + hfenn"] = mixed("l1", "hfenn")
if not here.fast:
    losses["l1 + ssim + hfenn"] = mixed("l1", "ssim", "hfenn")

# %% [markdown]
# Same start, same patches in the same order, same steps; the learning rate rises slowly, then falls. Adam divides by the size of the gradient, so that one rate
# serves all. **Predict:** will each loss win the column of its own score?

# %%
import time

models = {}
for name, loss in losses.items():
    models[name] = fresh()
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        here.steps,
        warmup_target=here.learning_rate,
        warmup_steps=max(1, here.steps // 10),
    )
    models[name].compile(
        keras.optimizers.Adam(schedule), loss=loss, run_eagerly=here.fast
    )  # FAST's few steps take less time than making a graph
    began = time.perf_counter()
    models[name].fit(batches, steps_per_epoch=here.steps, verbose=0)
    print(f"{name}: {here.steps} steps in {time.perf_counter() - began:.0f} s")


# %%
def row_of(images):
    """Returns the five scores, means over the photos."""
    values = []
    for (_, hr), image in zip(parts.values(), images, strict=True):
        a, b = sr.images.to_float(hr)[None], sr.images.to_float(image)[None]
        error = sr.images.crop_border(255 * (a - b), scale)
        scores = [np.abs(error).mean(), (error**2).mean()]
        for metric in (sr.metrics.psnr, sr.metrics.ssim, sr.metrics.hfenn):
            scores.append(float(metric(a, b, border=scale)[0]))
        values.append(scores)
    return np.mean(values, axis=0)


outputs = {
    name: [enlarge(model, sr.images.to_float(lr)) for lr, _ in parts.values()]
    for name, model in {"bicubic": sr.models.bicubic(scale), **models}.items()
}
table = {name: row_of(images) for name, images in outputs.items()}

# %%
columns = ["MAE", "MSE", "PSNR", "SSIM", "HFENN"]
numbers = np.array(list(table.values()))
sign = np.array([-1, -1, 1, 1, -1])  # more is better, or worse
gain = sign * (numbers - numbers[0])
fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
rise, fall = (np.maximum(x.max(axis=0), 1e-9) for x in (gain, -gain))
color = np.where(gain > 0, gain / rise, gain / fall)  # in each column from -1 to 1
ax.imshow(color, cmap="PuOr", vmin=-1.5, vmax=1.5, aspect="auto")
for (i, j), value in np.ndenumerate(numbers):
    text = f"{value:.4f}" if j > 2 else f"{value:.2f}"
    best = (sign * numbers).argmax(axis=0)[j] == i
    ax.text(j, i, text, ha="center", va="center", weight="bold" if best else None)
ax.set_xticks(range(5), columns)
ax.set_yticks(range(len(table)), [f"trained: {n}" if n in models else n for n in table])
ax.set_title(
    f"x4, parts of cat and motorcycle, RGB, 4 pixels cut, 8 bits; {here.steps} steps",
    fontsize=10,
)
plt.show()

# %%
before = table["bicubic"]
assert table["ssim"][3] > before[3]  # more SSIM
assert table["hfenn"][4] < before[4]  # fewer wrong edges
assert here.fast or table["l1 + ssim + hfenn"][2] > before[2]  # more PSNR

# %% [markdown]
# Bold is the best of a column, violet better than bicubic, orange worse. SSIM wins its own column, and is among the best in HFENN's; but
# `"l2"` has a smaller mean absolute error than `"l1"`. The sum of three is best, or nearly, wherever pixels count. SSIM and HFENN alone pay
# with the mean absolute error. (So few steps, one start, two photos: small differences say nothing.)
#
# But `"psnr"` has hardly moved, not even in the column PSNR. Let us look at one batch, at the start: which share of the gradient has each of its eight
# patches?

# %%
lr_patches, hr_patches = next(iter(batches))
output = keras.ops.convert_to_numpy(sr.models.bicubic(scale)(lr_patches))
for name in ("l2", "psnr"):
    pull = gradient(sr.losses.get(name), hr_patches, output)
    length = np.linalg.norm(pull.reshape(len(pull), -1), axis=1)
    print(f"{name:4}", (length / length.sum()).round(3))

# %% [markdown]
# One patch that is nearly right has the smallest share that counts in `"l2"`, and more than half in `"psnr"`. (Two have no error to speak of.) The
# logarithm serves easy patches, and the hard ones go without: a likely reason why so little was learned.
#
# The pictures, and how far the mean colour of each has moved:

# %%
shown = {name: outputs[name][1] for name in ("bicubic", "l2", "ssim", "hfenn")}
shown["l1 + hfenn"] = outputs["l1 + hfenn"][1]
sr.plotting.comparison(
    {**shown, "HR": hr_file},
    scores={
        name: psnr_rgb(sr.images.to_float(image), border=scale)
        for name, image in shown.items()
    },
    crop=tank,
    columns=3,
    title=f"After {here.steps} steps; part of the motorcycle, x4, PSNR on RGB, "
    "4 pixels cut, 8 bits",
    whole=False,
)

# %%
for name, images in outputs.items():
    drift = np.mean(
        [
            (image - hr.astype(float)).mean(axis=(0, 1))
            for (_, hr), image in zip(parts.values(), images, strict=True)
        ],
        axis=0,
    )
    print(f"{name:17} red {drift[0]:+.2f}, green {drift[1]:+.2f}, blue {drift[2]:+.2f}")

# %% [markdown]
# HFENN alone has moved all colours by many grey levels, SSIM alone by one or two: nothing told them not to. With a term for the pixels they
# stay. The pictures differ little: `"ssim"` has the strongest contrast, `"hfenn"` a fine grid that it does not see, and no loss brings the
# letters back.
#
# ## Exercises
#
# Each has a solution below it, folded. Try first.
#
# **Exercise 1.** How many weights has a 3 x 3 convolution from 32 channels to 32, biases included?

# %%
answer = None  # your number

sr.course.check(answer, with_skips.get_layer("decoder_0").count_params())

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 1
answer = 3 * 3 * 32 * 32 + 32
sr.course.check(answer, with_skips.get_layer("decoder_0").count_params())
print(answer)

# %% [markdown]
# **Exercise 2.** `sr.models.autoencoder(1)` has the filters `(64, 64, 32)`, one stride of 2 for each. How many numbers of an RGB image share
# one number of its code?

# %%
answer = None  # your number

large = sr.models.autoencoder(1)
encoder = keras.Model(large.input, large.get_layer("code_0").output)
ratio = patch.size / np.size(encoder(patch))
sr.course.check(answer, ratio)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 2
answer = 8 * 8 * 3 / 32  # three halvings: tiles of 8 x 8 pixels
sr.course.check(answer, ratio)
print(answer)

# %% [markdown]
# **Exercise 3.** How many pixels wide is the view of one number of the code of `small`? Its layers up to there are 3 x 3, with strides 1, 2, 1, 2, 1, 1. The
# cell measures it: with weights of 1, it looks which pixels have a gradient.

# %%
answer = None  # your number

small.set_weights([np.ones_like(weight) for weight in small.get_weights()])
encoder = keras.Model(small.input, small.get_layer("code_0").output)
image = tf.Variable(tf.ones((1, 64, 64, 3)))
with tf.GradientTape() as tape:
    value = encoder(image)[0, 8, 8, 0]
seen = tape.gradient(value, image).numpy()[0].any(axis=(0, 2))
sr.course.check(answer, seen.sum())

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 3
answer, step = 1, 1  # step: how many pixels apart two neighbours of this layer are
for stride in (1, 2, 1, 2, 1, 1):
    answer += 2 * step  # one neighbour more on each side
    step *= stride
    print(f"stride {stride}: sees {answer} pixels, steps of {step}")
sr.course.check(answer, seen.sum())

# %% [markdown]
# **Exercise 4.** Write a loss that compares the *differences of neighbours*, down and across, by their mean absolute error. Is it blind to
# brightness, too? Let `descend` start from grey with it alone, and with it beside L1.


# %%
class Differences(keras.losses.Loss):
    def call(self, y_true, y_pred): ...  # (batch, height, width, 3) -> (batch,)


# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 4
class Differences(keras.losses.Loss):
    def call(self, y_true, y_pred):
        error = y_true - y_pred
        down = error[:, 1:] - error[:, :-1]
        across = error[:, :, 1:] - error[:, :, :-1]
        return sum(keras.ops.mean(keras.ops.abs(x), (1, 2, 3)) for x in (down, across))


both = sr.losses.WeightedSum([(1, "l1"), (1, Differences(name="differences"))])
print(f"brighter by 0.05: {float(Differences()(target, target + 0.05)):.6f}")
wanted = {
    "differences": descend(Differences(), target)[here.stops[-1]],
    "with L1": descend(both, target)[here.stops[-1]],
}
sr.plotting.comparison(
    {**wanted, "HR": target[0]},
    crop=(20, 36, 64, 80),
    title=f"{here.stops[-1]} steps from grey",
    whole=False,
)

# %% [markdown]
# **Exercise 5.** A bottleneck can be useful. Add noise with a standard deviation of 0.1 to `hr`, and put it through `squeeze` with several `k`. Which `k` gives the highest
# PSNR against the clean photo, and why is it neither the smallest nor 192?

# %%
noisy = hr + generator.normal(0, 0.1, hr.shape).astype("float32")
best = None  # your k

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 5
sizes = (1, 3, 6, 12, 24, 48, 96, 192)
fig, ax = plt.subplots(figsize=(8, 2.8), layout="constrained")
for name, image in (("clean", hr), ("noisy", noisy)):
    curve = [psnr_rgb(squeeze(image, k)[1]) for k in sizes]
    ax.plot(sizes[:-1], curve[:-1], "o-", label=f"from the {name} photo")
    best = sizes[int(np.argmax(curve))]
    print(f"{name}: best with {best} numbers a tile")
ax.axhline(psnr_rgb(noisy), color="0.4", linestyle="--", label="noisy photo itself")
ax.set(xscale="log", xlabel="numbers a tile", ylabel="PSNR on RGB (dB)")
ax.set_xticks(sizes[:-1], sizes[:-1])
ax.minorticks_off()
ax.legend(frameon=False)
plt.show()
# Noise is spread evenly over all 192 directions, the photo is mostly in the first ones:
# each further number brings less of the photo, and always the same amount of noise.
assert 1 < best < 192

# %% [markdown]
# ## Summary
#
# - A convolution is a weighted sum of neighbours, the same everywhere. A layer sums over input channels, adds a bias and cuts at 0.
#   Stride shrinks the image; dilation widens the view without more weights.
# - An autoencoder passes an image through a code of fewer numbers. The best linear one is principal components; detail is what it drops first.
# - Symmetric skips lead around the bottleneck: what keeps its place need not pass through the code. Our network with skips hardly used it.
# - A loss can be blind: HFENN to brightness, for example. A pixel loss beside it sees what it misses.
# - Squared error asks for the mean of all possible answers, and that is blurred. PSNR as a loss pulls each image the same way, but serves easy images first.
# - A loss need not win its own score. A sum, each term weighted by one over its value at the start, is a good first try.
# - Compare networks trained with different losses by all scores, and by eye.
#
# ## Further reading
#
# - Dumoulin and Visin, [A guide to convolution arithmetic for deep learning](https://arxiv.org/abs/1603.07285), 2016: strides and transposed convolutions, drawn.
# - Yu and Koltun, [Multi-scale context aggregation by dilated convolutions](https://arxiv.org/abs/1511.07122), 2016.
# - Hinton and Salakhutdinov, [Reducing the dimensionality of data with neural networks](https://doi.org/10.1126/science.1127647), 2006: deep autoencoders
#   against principal components.
# - Mao, Shen and Yang, [Image restoration using convolutional auto-encoders with symmetric skip connections](https://arxiv.org/abs/1606.08921), 2016: RED-Net.
# - Zhao, Gallo, Frosio and Kautz, [Loss functions for image restoration with neural networks](https://arxiv.org/abs/1511.08861), 2017: L1, SSIM and their sum, compared
#   on one network.
# - Ravishankar and Bresler, [MR image reconstruction from highly undersampled k-space data by dictionary learning](https://doi.org/10.1109/TMI.2010.2090538),
#   2011: where HFENN comes from.
