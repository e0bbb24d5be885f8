# %% [markdown]
# # 5. ESPCN and FSRCNN: enlarge at the end
#
# Post-upsampling: the sub-pixel layer and the deconvolution by hand, checkerboards and ICNR, and what it saves to compute at low resolution.
#
# **You will be able to**
#
# - write the pixel shuffle, and say which channel becomes which pixel;
# - write a transposed convolution, and turn a sub-pixel convolution into one;
# - see why networks start with a checkerboard, and start one without it;
# - count the multiplications of SRCNN, ESPCN and FSRCNN, and know what the count leaves out;
# - train an ESPCN that beats bicubic interpolation.
#
# **You need** lesson 1 (interpolation, PSNR) and lesson 4 (SRCNN, learning what bicubic misses). What a convolution does is in lesson 3.
#
# **Time:** 2 minutes of computing on two CPU cores (measured), 2 minutes on a GPU in Colab (an estimate); reading and exercises take longer.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/05_espcn.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/05_espcn.py) · Previous: [4. SRCNN: interpolate first, then correct](04_srcnn.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/04_srcnn.ipynb)) · Next: [6. U-Net: restore a damaged photo](06_unet.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/06_unet.ipynb)) · [All lessons](README.md)

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
    minutes=(0.5, 2, 2),
    steps=(210, 2500, 10000),
    rounds=(3, 10, 10),
    short=(30, 150, 150),
)

# %% [markdown]
# ## First or last?
#
# SRCNN enlarges first: bicubic interpolation makes nine pixels of one (at x3), and every convolution then visits all nine. But
# interpolation added no information.

# %%
import time

import keras
import matplotlib.pyplot as plt
import numpy as np

scale = 3
pairs = sr.datasets.samples(scale, split="validation")
lr_file, hr_file = pairs[0]  # the cat
lr, hr = sr.images.to_float(lr_file), sr.images.to_float(hr_file)
print("LR", lr.shape, "HR", hr.shape)

# %% [markdown]
# *Post-upsampling* convolves the LR image and enlarges at the very end. How, with layers that can be trained? An ordinary
# convolution keeps height and width. What it can choose is the depth:

# %%
features = keras.layers.Conv2D(27, 3, padding="same")(lr[None])
print(lr[None].shape, "->", features.shape)
print("numbers in the features:", np.prod(features.shape), "in HR:", hr.size)

# %% [markdown]
# With 27 channels there are exactly as many numbers as HR has: 3 colours for each of 3 x 3 pixels. They only stand in the wrong place.
#
# ## From depth to size
#
# The *pixel shuffle* spends depth on size: every `scale**2` channels of a pixel become a tile of `scale x scale` pixels. It is
# lesson 1's reshape into tiles, backwards.


# %%
def shuffle(x, scale):
    height, width, depth = x.shape
    channels = depth // scale**2
    x = x.reshape(height, width, scale, scale, channels)
    x = x.transpose(0, 2, 1, 3, 4)  # row, row in the tile, column, column in it
    return x.reshape(height * scale, width * scale, channels)


# %% [markdown]
# Take 2 x 2 pixels with four channels; a number says which channel a value is from. **Predict:** where in each 2 x 2 tile will channel 1
# land, to the right of channel 0 or below it?

# %%
small = np.tile(np.arange(4.0), (2, 2, 1))  # channel k holds the value k
tiles = shuffle(small, 2)
package = sr.layers.PixelShuffle(2)(small[None])[0]
np.testing.assert_allclose(tiles, package)

fig, axes = plt.subplots(1, 5, figsize=(9, 2.2), layout="constrained")
pictures = [small[..., k] for k in range(4)] + [tiles[..., 0]]
for ax, picture in zip(axes, pictures, strict=True):
    ax.imshow(picture, cmap="tab10", vmin=0, vmax=9)
    for (y, x), value in np.ndenumerate(picture):
        ax.text(x, y, f"{value:.0f}", ha="center", va="center", color="white")
    ax.set(xticks=[], yticks=[])
for k, ax in enumerate(axes[:4]):
    ax.set_title(f"channel {k}", fontsize=10)
axes[4].set_title("shuffled", fontsize=10)
plt.show()

# %% [markdown]
# To the right: a tile is filled like a page, row by row. With colours, the first three channels are the first pixel's red, green and
# blue, the next three those of its right neighbour.
#
# The way back takes an image apart. **Predict:** unshuffle HR, and look at nine of the 27 channels, the green ones. What are they
# pictures of?


# %%
def unshuffle(image, scale):
    height, width, channels = image.shape
    x = image.reshape(height // scale, scale, width // scale, scale, channels)
    x = x.transpose(0, 2, 1, 3, 4)
    return x.reshape(height // scale, width // scale, scale**2 * channels)


deep = unshuffle(hr, scale)
np.testing.assert_array_equal(shuffle(deep, scale), hr)

# %%
fig, axes = plt.subplots(3, 3, figsize=(6.6, 4.6), layout="constrained")
for k, ax in enumerate(axes.flat):
    ax.imshow(deep[20:60, 30:90, 3 * k + 1], cmap="gray", vmin=0, vmax=1)
    ax.set_title(f"row {k // 3}, column {k % 3} in the tile", fontsize=9)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Nine eyes, nearly alike, each seen a third of an LR pixel further on: much like the many
# shifted photos of lesson 1. So that is the task of a sub-pixel network: from one coarse photo, guess the nine that would complete it.
#
# The laziest guess is that all nine are the LR image. **Predict:** which interpolation is that?

# %%
lazy = shuffle(np.tile(lr, 9), scale)
nearest = sr.models.nearest(scale)(lr[None])[0]
np.testing.assert_allclose(lazy, nearest, atol=1e-6)

# %% [markdown]
# Nearest neighbour, as the assertion says. Remember it: it will cure a disease below.
#
# ## ESPCN
#
# The network of Shi and others has three convolutions, all at low resolution, then the shuffle. They found tanh to work best between the
# layers. The paper enlarges luma; ours takes RGB.


# %%
def network(initializer):
    conv = keras.layers.Conv2D
    return keras.Sequential(
        [
            keras.Input((None, None, 3)),
            conv(64, 5, padding="same", activation="tanh"),
            conv(32, 3, padding="same", activation="tanh"),
            conv(3 * scale**2, 3, padding="same", kernel_initializer=initializer),
            sr.layers.PixelShuffle(scale),
        ]
    )


# %%
by_hand = network("glorot_uniform")
package = sr.models.espcn(scale, channels=3)
package.set_weights(by_hand.get_weights())
np.testing.assert_allclose(by_hand(lr[None]), package(lr[None]), atol=1e-5)
print("parameters:", by_hand.count_params())

# %% [markdown]
# Same weights, same picture: the package's `espcn` is these four layers. Only its last convolution starts otherwise, and that is the
# next subject.
#
# ## A checkerboard at birth
#
# `by_hand` was never trained. **Predict:** we give it a flat grey image, every pixel 0.5. Will the output be flat?

# %%
grey = np.full((1, 16, 16, 3), 0.5, "float32")
output = keras.ops.convert_to_numpy(by_hand(grey))[0]
middle = output[15:33, 15:33]  # far from the border
print("one tile, green:\n", middle[:3, :3, 1].round(2))

# %% [markdown]
# Nine filters of a tile, drawn independently, answer the same grey with nine different values, and so they do in every tile. As
# pictures, the output stretched from its darkest to its brightest value:


# %%
def stretched(image):
    return (image - image.min()) / (image.max() - image.min() + 1e-6)


eye = (60, 90, 90, 135)  # of the cat: top, left, height, width
print("of the grey image, values from", middle.min(), "to", middle.max())
photo = keras.ops.convert_to_numpy(by_hand(lr[None]))[0]
fig, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
axes[0].imshow(stretched(middle), interpolation="nearest")
axes[1].imshow(stretched(photo)[60:150, 90:225], interpolation="nearest")
for ax, title in zip(axes, ("flat grey", "the cat"), strict=True):
    ax.set_title(f"untrained network, {title}", fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# A pattern that repeats every three pixels, in both directions: a *checkerboard*. Training has to remove it first. The cure: let the nine
# filters of a tile start equal. That is ICNR, and by hand it is one line, `np.tile`.

# %%
draw = keras.initializers.GlorotUniform(seed=7)
one = keras.ops.convert_to_numpy(draw((3, 3, 32, 3)))  # a filter for each colour
nine = np.tile(one, 9)

package = sr.layers.ICNR(scale, keras.initializers.GlorotUniform(seed=7))
np.testing.assert_array_equal(nine, package((3, 3, 32, 27)))
print(one.shape, "->", nine.shape)

# %% [markdown]
# **Predict:** the same network, its last convolution started by ICNR. What will the flat grey give now, and what the cat?

# %%
cured = network(sr.layers.ICNR(scale))
cured.layers[0].set_weights(by_hand.layers[0].get_weights())
cured.layers[1].set_weights(by_hand.layers[1].get_weights())
output = keras.ops.convert_to_numpy(cured(grey))[0, 15:33, 15:33]
print("grey, largest difference of two pixels:", np.ptp(output, axis=(0, 1)))

# %%
untrained = {}
for name, model in (("independent filters", by_hand), ("ICNR", cured)):
    picture = keras.ops.convert_to_numpy(model(lr[None]))[0]
    untrained[name] = stretched(picture)
sr.plotting.comparison(
    {"LR": lr, **untrained, "HR": hr},
    crop=eye,
    columns=2,
    whole=False,
    title="Before any training",
)

# %% [markdown]
# Flat stays flat. The cat has wrong colours, since nothing is trained, but its blocks are the LR pixels, as in nearest neighbour: the lazy guess
# from above.
#
# Does it last? We need a number for the pattern: the mean of each of the nine places in the tile, and how far these nine are
# apart.


# %%
def checkers(image):
    """Returns the spread of the nine means, in grey levels, mean over colours."""
    height, width, channels = image.shape
    tiles = image.reshape(height // scale, scale, width // scale, scale, channels)
    return 255 * tiles.mean(axis=(0, 2)).std(axis=(0, 1)).mean()


print(f"HR: {checkers(hr):.2f}")
for name, picture in (("independent", by_hand), ("ICNR", cured)):
    print(f"{name}: {checkers(np.array(picture(lr[None]))[0]):.2f}")

# %% [markdown]
# Now both learn from the same patches, of photos that are not the cat. After every few steps we look at the cat. **Predict:** will the two
# curves meet?

# %%
train_pairs = sr.datasets.samples(scale)
print("training photos:", ", ".join(train_pairs.names))
patches = sr.pipeline.training_batches(train_pairs, lr_size=24, batch_size=8)


def young(model):
    """Trains for a short time; returns the pattern on the way."""
    curve = [checkers(model.predict_on_batch(lr[None])[0])]

    def look(epoch, logs):
        curve.append(checkers(model.predict_on_batch(lr[None])[0]))

    model.compile(keras.optimizers.Adam(1e-3), loss="mae")
    look = keras.callbacks.LambdaCallback(on_epoch_end=look)
    epochs = here.short // 5
    model.fit(patches, steps_per_epoch=5, epochs=epochs, callbacks=[look], verbose=0)
    return curve


# %%
curves = {"independent filters": young(by_hand), "ICNR": young(cured)}
fig, ax = plt.subplots(figsize=(8, 2.8), layout="constrained")
for name, curve in curves.items():
    ax.plot(5 * np.arange(len(curve)), curve, "o-", markersize=3, label=name)
    print(f"{name}: from {curve[0]:.2f} to {curve[-1]:.2f} grey levels")
ax.axhline(checkers(hr), color="0.4", linestyle="--", label="HR")
ax.set(xlabel="steps", ylabel="pattern (grey levels)", yscale="log", ylim=(0.03, 60))
ax.legend(frameon=False)
plt.show()

# %%
from sr_keras.evaluation import score


def scores_of(images, hr, border=scale):
    found = {name: score(hr, image, border) for name, image in images.items()}
    return {name: (row["psnr_y"], row["ssim_y"]) for name, row in found.items()}


# %%
enlarged = {
    "independent filters": sr.upscale(by_hand, lr_file),
    "ICNR": sr.upscale(cured, lr_file),
}
sr.plotting.comparison(
    {"LR": lr_file, **enlarged, "HR": hr_file},
    scores=scores_of(enlarged, hr_file),
    crop=eye,
    columns=2,
    title=f"After {here.short} steps; x3, PSNR (dB) / SSIM on luma, 3 pixels cut, 8 bits",
    whole=False,
)

# %% [markdown]
# The curves do not meet: at the last step the pattern is still several times as strong without ICNR, and visible. PSNR and SSIM agree with the eye. But
# how much of their gap is the pattern, one run each does not tell: so early, both pictures are off in many ways, and the scores count them all.
#
# ## Training an ESPCN
#
# Two things make it faster: the network learns only what bicubic interpolation misses (lesson 4), and the learning rate falls along a
# cosine, from large steps to tiny ones. The loss is the mean absolute error.

# %%
batches = sr.pipeline.training_batches(train_pairs, lr_size=32, batch_size=8)
model = sr.models.espcn(scale, channels=3, bicubic_skip=True)
schedule = keras.optimizers.schedules.CosineDecay(2e-3, here.steps)
model.compile(keras.optimizers.Adam(schedule), loss="mae")

bicubic = sr.evaluate(sr.models.bicubic(scale), pairs)
print(f"bicubic: {bicubic['mean']['psnr_y']:.2f} dB, {', '.join(pairs.names)}")
print(bicubic["conditions"])

# %% [markdown]
# That is the bar, on two photos that training never sees. On the way, `sr.evaluate` measures how far we are. **Predict:** where
# does an untrained network with a bicubic skip begin, above the bar or below?

# %%
steps = here.steps // here.rounds
log = [{"step": 0, "psnr_y": sr.evaluate(model, pairs)["mean"]["psnr_y"]}]


def measure(epoch, logs):
    reached = sr.evaluate(model, pairs)["mean"]["psnr_y"]
    log.append({"step": (epoch + 1) * steps, "loss": logs["loss"], "psnr_y": reached})


measure = keras.callbacks.LambdaCallback(on_epoch_end=measure)
start = time.perf_counter()
model.fit(
    batches, steps_per_epoch=steps, epochs=here.rounds, callbacks=[measure], verbose=0
)
seconds = time.perf_counter() - start
print(f"{here.steps} steps of 8 patches of 32 x 32 in {seconds:.0f} s")

# %%
print("\n".join(f"{row['step']:6} steps: {row['psnr_y']:.2f} dB" for row in log))
sr.plotting.history(
    log[1:],
    baselines={"bicubic": bicubic["mean"]["psnr_y"]},
    title="ESPCN x3, PSNR on luma, 3 pixels cut, mean over cat and motorcycle",
)

# %% [markdown]
# It starts far below bicubic, since a random last convolution adds noise to the skip. The first 250 steps bring most of the gain, the last
# 1,000 nothing that two decimals show. How good are the two photos, each for itself?

# %%
result = sr.evaluate(model, pairs)
for i, name in enumerate(pairs.names):
    before, after = bicubic["images"][i], result["images"][i]
    print(
        f"{name:11} bicubic {before['psnr_y']:.2f} dB / {before['ssim_y']:.4f}"
        f"   ESPCN {after['psnr_y']:.2f} dB / {after['ssim_y']:.4f}"
    )
print(result["conditions"])

# %% [markdown]
# **Predict:** where will you see the difference, in the fur, at edges, or on smooth ground?

# %%
enlarged = {
    "bicubic": sr.upscale(sr.models.bicubic(scale), lr_file),
    "ESPCN": sr.upscale(model, lr_file),
}
sr.plotting.comparison(
    {"LR": lr_file, **enlarged, "HR": hr_file},
    scores=scores_of(enlarged, hr_file),
    crop=eye,
    columns=2,
    title="chelsea x3, PSNR (dB) / SSIM on luma, 3 pixels cut, 8 bits",
    whole=False,
)

# %%
lr_moto, hr_moto = pairs[1]
enlarged = {
    "bicubic": sr.upscale(sr.models.bicubic(scale), lr_moto),
    "ESPCN": sr.upscale(model, lr_moto),
}
sr.plotting.comparison(
    {"LR": lr_moto, **enlarged, "HR": hr_moto},
    scores=scores_of(enlarged, hr_moto),
    crop=(312, 510, 84, 114),
    columns=2,
    title="motorcycle x3, PSNR (dB) / SSIM on luma, 3 pixels cut, 8 bits",
    whole=False,
)

# %%
sr.plotting.slider(
    {"bicubic": enlarged["bicubic"], "ESPCN": enlarged["ESPCN"]},
    crop=(231, 330, 90, 150),
    zoom=4,
    title="motorcycle x3: the engine",
)

# %% [markdown]
# At edges: the rim of the eye, the fork, the fins of the engine are crisper. The fur is hardly better. The hairs of HR are not in the LR image,
# and a network with this loss does not make them up. Along slanted edges there are small steps.
#
# And the checkerboard? The pattern's number for the trained network, whose last convolution started by ICNR:

# %%
for name in ("bicubic", "ESPCN"):
    print(f"{name}: {checkers(sr.images.to_float(enlarged[name])):.2f} grey levels")
print(f"HR: {checkers(sr.images.to_float(hr_moto)):.2f} grey levels (motorcycle)")

# %% [markdown]
# Nothing of it is left: the number is as small as that of the real photo, or smaller.
#
# ## Tanh or ReLU?
#
# The paper's authors saw better results with tanh than with ReLU. An activation has no weights and costs next to nothing, so we can ask again, with our
# photos and optimizer: the same batches, steps and learning rates. We take the *leaky* ReLU, which passes on a fifth of what is negative: a plain one
# that has become negative everywhere has no gradient, and never comes back. **Predict:** which is ahead?

# %%
rival = sr.models.espcn(scale, channels=3, activation="leaky_relu", bicubic_skip=True)
rival.compile(keras.optimizers.Adam(schedule), loss="mae")
rival.fit(batches, steps_per_epoch=here.steps, verbose=0)
for name, candidate in (("tanh", model), ("leaky ReLU", rival)):
    mean = sr.evaluate(candidate, pairs)["mean"]
    print(f"{name}: {mean['psnr_y']:.2f} dB / {mean['ssim_y']:.4f}")
print(f"{', '.join(pairs.names)}: {result['conditions']}")

# %% [markdown]
# Leaky ReLU, by less than a tenth of a decibel, in one run: no verdict, but nothing that speaks for tanh either. Findings about such details
# depend on optimizer, photos and training time. When you build on a paper, measure its choices again under your conditions, and more than once.
#
# ## Is it the network that is too small?
#
# The curve of our first run ended flat. Have 31,000 weights learned what they can, or has the optimizer stopped finding the way down? Take two weights to
# see how that could be: those for two neighbouring pixels, which are nearly alike. Their *sum* matters much, their *difference* little.

# %%
from sr_keras.training import SOAP

generator = np.random.default_rng(0)
pixel = generator.normal(size=(200, 1))
neighbours = np.concatenate([pixel, pixel + 0.2 * generator.normal(size=(200, 1))], 1)
wanted = neighbours @ [[1.0], [-1.0]]


def way(optimizer, steps=100):
    """Returns the two weights at every step, from (-1, -1) on."""
    layer = keras.layers.Dense(1, use_bias=False)
    line = keras.Sequential([keras.Input((2,)), layer])
    line.compile(optimizer, loss="mse")
    layer.set_weights([np.array([[-1.0], [-1.0]])])
    places = [layer.get_weights()[0][:, 0]]
    for _ in range(steps):
        line.train_on_batch(neighbours, wanted)
        places.append(layer.get_weights()[0][:, 0])
    return np.array(places)


# %% [markdown]
# The loss has its minimum at (1, -1), in a valley that runs from there to the upper left. *Adam* gives each weight a step size of its own: it can stretch the
# picture along its axes, and no more. *SOAP* (Vyas and others) first turns the picture: it averages the products of each kernel's gradients,
# takes their eigenvectors for axes, and then does what Adam does. **Predict** the two ways.

# %%
ways = {
    "Adam": way(keras.optimizers.Adam(0.1, beta_2=0.95)),
    "SOAP": way(SOAP(0.1, beta_1=0.9, beta_2=0.95, precondition_frequency=1)),
}
a, b = np.meshgrid(np.linspace(-1.5, 1.5, 61), np.linspace(-1.5, 1.5, 61))
error = neighbours[:, :1, None] * (a - 1) + neighbours[:, 1:, None] * (b + 1)
fig, ax = plt.subplots(figsize=(5, 4.2), layout="constrained")
ax.contour(a, b, (error**2).mean(axis=0), levels=np.geomspace(0.005, 5, 8), cmap="gray")
for name, places in ways.items():
    ax.plot(*places.T, ".-", markersize=4, linewidth=1, label=name)
    distance = np.hypot(*(places - [1, -1]).T)
    print(f"{name}: {distance[30]:.2f} from the minimum after 30 steps,", end=" ")
    print(f"{distance[-1]:.3f} after {len(places) - 1}")
ax.plot(1, -1, "k*", markersize=10)
ax.set(xlabel="weight of the pixel", ylabel="weight of its neighbour", aspect="equal")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Both first go down the slope to the bottom of the valley, where only the difference is left to learn. Adam creeps: both weights have
# felt the steep slope, so both step sizes are small. SOAP has one axis across the valley and one along it, with a step size for each.
#
# In a kernel of ESPCN every pixel has such neighbours. The same network, batches, steps and learning rates once more. **Predict:** will it matter?

# %%
patient = sr.models.espcn(scale, channels=3, activation="leaky_relu", bicubic_skip=True)
patient.compile(SOAP(schedule, beta_2=0.99, precondition_frequency=20), loss="mae")
start = time.perf_counter()
patient.fit(batches, steps_per_epoch=here.steps, verbose=0)
print(f"{time.perf_counter() - start:.0f} s, with Adam {seconds:.0f} s and measuring")
for name, candidate in (("Adam", rival), ("SOAP", patient)):
    mean = sr.evaluate(candidate, pairs)["mean"]
    print(f"{name}: {mean['psnr_y']:.2f} dB / {mean['ssim_y']:.4f}")
print(f"{', '.join(pairs.names)}: {result['conditions']}")

# %% [markdown]
# It does: the gain over bicubic interpolation is half as large again, from the same weights, photos and steps, in about the same time. The network was not too
# small. Nor would patience have helped: an ESPCN x3 that we trained on 471 photos was after 4,000 steps of SOAP ahead of one with 40,000 of Adam.
# Before you make a network larger, ask whether the small one has learned what it can.
#
# Large networks gain too, if the training is short: after 700 to 3,000 steps on these 471 photos, networks of 8,000 to 1.9 million weights were 0.2 to 0.8 dB
# better with SOAP than with Adam at 0.001, on 20 photos held out. But its work grows with the cube of a kernel's size, and an EDSR that had learned for hours gained nothing from
# 500 steps more with it. Nor does every activation suit it: the paper's tanh stayed at what one linear filter can do.
#
# ## Deconvolution
#
# FSRCNN enlarges with another layer, the *transposed convolution*, often called deconvolution. Think of stamps: each LR pixel presses the
# kernel, times its value, onto the large grid, `stride` pixels further than the last. Overlaps add up.


# %%
def stamp(x, kernel, stride):
    """Transposed convolution of a line of numbers."""
    large = np.zeros((len(x) - 1) * stride + len(kernel))
    for i, value in enumerate(x):
        large[i * stride : i * stride + len(kernel)] += value * kernel
    return large


# %%
x = np.array([1.0, 2, 0, 1])
kernel = np.array([1.0, 3, 1])
by_hand = stamp(x, kernel, 2)
package = keras.ops.conv_transpose(
    x[None, :, None], kernel[:, None, None], strides=2, padding="valid"
)[0, :, 0]
np.testing.assert_allclose(by_hand, package)
print(by_hand)

# %% [markdown]
# Why *transposed*? A convolution is a matrix: one row for each output. With stride 2 it makes 4 numbers of 9. Its transpose makes 9 of 4,
# and it is our stamping:

# %%
matrix = np.zeros((4, 9))
for i in range(4):
    matrix[i, 2 * i : 2 * i + 3] = kernel  # one output of a convolution of stride 2
np.testing.assert_allclose(matrix.T @ x, by_hand)
print(matrix.astype(int))
print("back again:", matrix @ by_hand, "but x was", x)

# %% [markdown]
# The last line is a warning: it has the shape of an inverse, not its effect. "Deconvolution" promises too much.
#
# **Predict:** a line of equal values, a kernel of ones, stride 2. For which of the kernel sizes 3, 4 and 5 is the result flat, away from
# its ends?

# %%
fig, axes = plt.subplots(1, 3, figsize=(9, 2), sharey=True, layout="constrained")
for ax, size in zip(axes, (3, 4, 5), strict=True):
    large = stamp(np.ones(6), np.ones(size), 2)
    ax.bar(np.arange(len(large)), large, width=1, edgecolor="white")
    ax.set_title(f"kernel size {size}, stride 2", fontsize=10)
plt.show()

# %% [markdown]
# Only 4, a multiple of the stride. Otherwise some pixels get more stamps than others. FSRCNN stamps 9 x 9 pixels. How many stamps
# meet in each pixel, at its three scales?

# %%
fig, axes = plt.subplots(1, 3, figsize=(9, 2.9), layout="constrained")
for ax, stride in zip(axes, (2, 3, 4), strict=True):
    line = stamp(np.ones(12), np.ones(9), stride)[9:21]  # away from the ends
    count = np.outer(line, line)
    ax.imshow(count, cmap="viridis", vmin=0)
    ax.set_title(
        f"x{stride}: {count.min():.0f} to {count.max():.0f} stamps", fontsize=10
    )
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Equally many only at x3; at x2 and x4 it is a checkerboard of counts. The kernel is learned, so training can make up for it. It has to, as
# a sub-pixel layer without ICNR has to.
#
# ## Two names for one thing
#
# Stamp 6 values with stride 2: even pixels get only the values 0, 2, 4 of the kernel, odd ones only 1, 3, 5. Two interleaved
# convolutions of size 3: that *is* a pixel shuffle.

# %%
generator = np.random.default_rng(0)
kernel, x = generator.normal(size=6), generator.normal(size=8)
even = np.convolve(x, kernel[0::2])
odd = np.convolve(x, kernel[1::2])
interleaved = np.stack([even, odd], axis=1).ravel()
np.testing.assert_allclose(interleaved, stamp(x, kernel, 2))

# %% [markdown]
# In images too. `np.convolve` slides its kernel turned round, networks do not: so we turn the 3 x 3 kernels of ESPCN's last layer, and
# put the *kernel itself* through the shuffle. **Predict** its new size.

# %%
kernel = keras.ops.convert_to_numpy(model.get_layer("subpixels").kernel)
bias = keras.ops.convert_to_numpy(model.get_layer("subpixels").bias)
turned = kernel[::-1, ::-1].reshape(3, 3, 32, scale, scale, 3)
stamps = turned.transpose(0, 3, 1, 4, 5, 2)  # row, row in the tile, column, ...
stamps = stamps.reshape(3 * scale, 3 * scale, 3, 32)
print(kernel.shape, "->", stamps.shape)

# %%
ours = keras.Model(model.input, model.get_layer("mapping").output)
features = ours(lr[None])
deconvolved = keras.ops.conv_transpose(features, stamps, scale, padding="same")
convolved = keras.ops.conv(features, kernel, padding="same") + bias
shuffled = shuffle(np.asarray(convolved - bias)[0], scale)
np.testing.assert_allclose(deconvolved[0], shuffled, atol=1e-5)
print("stamped", deconvolved.shape[1:], "equals shuffled", shuffled.shape)

# %% [markdown]
# A sub-pixel convolution with 3 x 3 kernels is a transposed convolution with 9 x 9, stride 3, and the same weights. Both
# multiply as often. Where the stride does not divide the kernel's size, zeros fill it up to a multiple.
#
# ## FSRCNN
#
# Dong and others made their SRCNN fast: extract at low resolution, *shrink* to few channels, map with thin layers, expand again, stamp.
# An hourglass, lying on its side.

# %%
fsrcnn = sr.models.fsrcnn(4)
for layer in fsrcnn.layers:
    if hasattr(layer, "kernel"):
        kernel = layer.kernel.shape
        print(f"{layer.name:14} {tuple(kernel)}: {np.prod(kernel):5} weights")

# %% [markdown]
# **Predict:** which layer multiplies most, and why did the authors bother to shrink before they map?

# %%
weights = {
    layer.name: np.prod(layer.kernel.shape)
    for layer in fsrcnn.layers
    if hasattr(layer, "kernel")
}
print("FSRCNN, all weights but biases:", sum(weights.values()))
print("four mapping layers:", 4 * 9 * 12 * 12, "without shrinking:", 4 * 9 * 56 * 56)
for name in ("extraction", "deconvolution"):
    print(f"{name}: {weights[name] / sum(weights.values()):.0%}")

# %% [markdown]
# The deconvolution: a third of all weights in one layer. Without shrinking, the four mapping layers would need 22 times as many, nine times all of
# FSRCNN. Only the last layer knows the scale: the authors trained it alone for new scales. (Not counted, as in the paper: biases, and the slopes of the PReLUs between the layers,
# which are ReLUs that learn a slope for negative values.)
#
# ## What it costs
#
# Papers count *Mult-Adds*, for an output of 1280 x 720. A convolution uses each weight once for each pixel of its output, a
# deconvolution for each pixel of its input. SRCNN's pixels are HR pixels, those of the others are LR pixels.

# %%
hr_pixels = 720 * 1280
lr_pixels = (720 // 4) * (1280 // 4)  # at x4
srcnn_weights = 9 * 9 * 64 + 5 * 5 * 64 * 32 + 5 * 5 * 32
espcn_weights = 5 * 5 * 64 + 3 * 3 * 64 * 32 + 3 * 3 * 32 * 16
print("weights: SRCNN", srcnn_weights, " ESPCN", espcn_weights)

# %% [markdown]
# On luma, as in the papers: one channel in; sixteen values for each LR pixel out of ESPCN. **Predict:** by what factor do the Mult-Adds
# differ? Which part of it is due to where they are computed?

# %%
by_hand = {
    "srcnn": hr_pixels * srcnn_weights,
    "espcn": lr_pixels * espcn_weights,
    "fsrcnn": lr_pixels * sum(weights.values()),
}
networks = {
    "srcnn": sr.models.srcnn(4),
    "espcn": sr.models.espcn(4),
    "fsrcnn": fsrcnn,
}
for name, model_x4 in networks.items():
    assert by_hand[name] == sr.models.mult_adds(model_x4, 4)
    print(f"{name:7}{by_hand[name] / 1e9:6.2f} G Mult-Adds, x4 to 1280 x 720")
print(f"SRCNN / ESPCN: {by_hand['srcnn'] / by_hand['espcn']:.1f} = 16 *", end=" ")
print(f"{srcnn_weights / espcn_weights:.1f}")

# %% [markdown]
# Sixteen is the scale squared: each weight works once for an LR pixel, not for an HR pixel. The rest is a smaller network. Yet it sees
# about as far: 2 + 1 + 1 = 4 LR pixels to each side. SRCNN's 4 + 2 + 2 = 8 HR pixels are two LR pixels, and bicubic looks two further.
#
# Is the count the time? **Predict** the order, and whether 37 times fewer multiplications are 37 times faster.


# %%
def milliseconds(model, image):
    model.predict_on_batch(image)  # the first call compiles
    times = []
    for _ in range(7):
        start = time.perf_counter()
        model.predict_on_batch(image)
        times.append(1000 * (time.perf_counter() - start))
    return np.median(times)


# %%
image = generator.uniform(size=(1, 45, 80, 1)).astype("float32")
spent = {name: milliseconds(m, image) for name, m in networks.items()}
counts = {
    name: sr.models.mult_adds(m, 4, 180, 320) / 1e6 for name, m in networks.items()
}
for name in networks:
    rate = counts[name] / spent[name]
    print(
        f"{name:7}{counts[name]:8.0f} M Mult-Adds {spent[name]:7.1f} ms"
        f"  = {rate:5.1f} M a ms   (x4 to 320 x 180, here)"
    )

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 2), layout="constrained")
for ax, values, label in (
    (axes[0], counts, "M Mult-Adds"),
    (axes[1], spent, "ms, median of 7, on this machine"),
):
    ax.barh(list(values), list(values.values()), color="#0072B2")
    ax.invert_yaxis()
    ax.set_xlabel(f"{label}, x4 to 320 x 180")
plt.show()

# %% [markdown]
# ESPCN was much faster than SRCNN, but not by as much as the count says: divide the two times. And FSRCNN, with half of ESPCN's multiplications, took longer here: the last
# column shows the lowest rate, probably because its layers are many and thin. Count to compare designs, measure to choose one for a machine.
#
# ## With more training
#
# A few minutes on six photos are not what a network can do. Where weights come with the package, trained longer on hundreds of photos, we
# score them on the same two photos, at x4. (The ESPCN has leaky ReLU and the bicubic skip; both were trained with SOAP.)

# %%
pairs_x4 = sr.datasets.samples(4, split="validation")
shipped = [
    name
    for name in sr.pretrained.all_names()
    if name.startswith(("espcn-x4", "fsrcnn-x4"))
]
if not shipped:
    print("This version ships no weights of ESPCN or FSRCNN at x4.")
models_x4 = {"bicubic": sr.models.bicubic(4)}
models_x4.update({name: sr.models.load(name) for name in shipped})
for name, model_x4 in models_x4.items():
    result_x4 = sr.evaluate(model_x4, pairs_x4)
    mean = result_x4["mean"]
    print(f"{name:16} {mean['psnr_y']:.2f} dB / {mean['ssim_y']:.4f}")
print(f"{', '.join(pairs_x4.names)}: {result_x4['conditions']}")

# %%
lr_x4, hr_x4 = pairs_x4[1]
enlarged_x4 = {name: sr.upscale(m, lr_x4) for name, m in models_x4.items()}
sr.plotting.comparison(
    {"LR": lr_x4, **enlarged_x4, "HR": hr_x4},
    scores=scores_of(enlarged_x4, hr_x4, border=4),
    crop=(312, 512, 84, 112),
    columns=3,
    title="motorcycle x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
    whole=False,
)

# %% [markdown]
# Trained for longer, both are firmer than bicubic at the fork and the disc, and much alike. At these edges FSRCNN leaves no stamps to be seen:
# its deconvolution has learned overlaps that fit.
#
# ## Exercises
#
# Each has a solution below it, folded. Try first.
#
# **Exercise 1.** At x3 in RGB, `PixelShuffle` gets 27 channels. Where does channel 17 land: which row and column of the tile, counted from
# 0, and which colour (0 red, 1 green, 2 blue)?

# %%
answer = None  # (row, column, colour)

one_hot = (np.arange(27.0) == 17)[None, None]
sr.course.check(answer, np.argwhere(shuffle(one_hot, 3))[0])

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 1
# 17 = 5 * 3 + 2: blue of place 5; and 5 = 1 * 3 + 2: row 1, column 2.
answer = (17 // 3 // 3, 17 // 3 % 3, 17 % 3)
sr.course.check(answer, np.argwhere(shuffle(one_hot, 3))[0])
print(answer)

# %% [markdown]
# **Exercise 2.** SRCNN's paper also has a small network: the kernels are 9, 1 and 5 pixels wide, with 64 and 32 channels between. How many
# billions of Mult-Adds for 1280 x 720? How many times ESPCN's at x4?

# %%
answer = None  # in 10**9

small = sr.models.srcnn(4, kernel_sizes=(9, 1, 5))
sr.course.check(answer, sr.models.mult_adds(small, 4) / 1e9, tolerance=0.01)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 2
answer = 720 * 1280 * (9 * 9 * 64 + 64 * 32 + 5 * 5 * 32) / 1e9
sr.course.check(answer, sr.models.mult_adds(small, 4) / 1e9, tolerance=0.01)
print(f"{answer:.2f} G, {answer * 1e9 / by_hand['espcn']:.1f} times ESPCN's")

# %% [markdown]
# **Exercise 3.** PyTorch's `PixelShuffle` wants the colour first: its channel is `9 * colour + 3 * row + column`. `from_torch` is a piece of
# the cat in that order. Find the 27 indices with which `from_torch[..., answer]` is in ours.

# %%
answer = None  # 27 indices

ours = unshuffle(hr[60:150, 90:225], 3)
from_torch = np.concatenate([ours[..., colour::3] for colour in range(3)], axis=-1)
if answer is not None:
    sr.course.check(from_torch[..., answer], ours)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 3
# PyTorch counts (colour, row, column), we count (row, column, colour).
answer = np.arange(27).reshape(3, 3, 3).transpose(1, 2, 0).ravel()
sr.course.check(from_torch[..., answer], ours)
print(answer)

# %% [markdown]
# **Exercise 4.** Bilinear interpolation x2 is a transposed convolution too. Which kernel of four numbers must `stamp` use, with stride 2?
# Hint: lesson 1's HR centres lie a quarter and three quarters of a pixel from their neighbours.

# %%
answer = None  # four numbers

line = generator.uniform(size=9).astype("float32")
expected = sr.models.bilinear(2)(np.tile(line[None, None, :, None], 3))[0, 0, :, 0]
if answer is not None:
    stamped = stamp(line, np.array(answer), 2)[1:-1]
    sr.course.check(stamped[1:-1], expected[1:-1])

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 4
# A pixel gives 3/4 to the two new pixels inside it, 1/4 to the two beside it.
answer = [0.25, 0.75, 0.75, 0.25]
stamped = stamp(line, np.array(answer), 2)[1:-1]
sr.course.check(stamped[1:-1], expected[1:-1])
# at the two ends a stamp is missing: the border has to be continued first
print("off at the ends by", np.abs(stamped - expected)[[0, -1]].round(3))

# %% [markdown]
# **Exercise 5.** Does enlarging last cost quality? Build ESPCN's three convolutions with the enlargement *first* (`BicubicUpsampling`, a last
# convolution to 3 channels, and the same skip). Train both for `here.short` steps on small patches. Compare scores and seconds: what may you
# conclude?

# %%
early = None  # your model

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 5
conv = keras.layers.Conv2D
inputs = keras.Input((None, None, 3))
enlarged = sr.layers.BicubicUpsampling(scale)(inputs)
x = conv(64, 5, padding="same", activation="tanh")(enlarged)
x = conv(32, 3, padding="same", activation="tanh")(x)
x = conv(3, 3, padding="same")(x)
early = keras.Model(inputs, keras.layers.Add()([x, enlarged]))
late = sr.models.espcn(scale, channels=3, bicubic_skip=True)
batches = sr.pipeline.training_batches(train_pairs, lr_size=12, batch_size=4)
for name, candidate in (("first", early), ("last", late)):
    candidate.compile(keras.optimizers.Adam(1e-3), loss="mae")
    candidate.train_on_batch(*next(iter(batches)))  # compiles
    start = time.perf_counter()
    candidate.fit(batches, steps_per_epoch=here.short, verbose=0)
    seconds = time.perf_counter() - start
    reached = sr.evaluate(candidate, pairs)["mean"]["psnr_y"]
    print(f"enlarged {name}: {reached:.2f} dB after {seconds:.1f} s")
print(f"bicubic: {bicubic['mean']['psnr_y']:.2f} dB; {bicubic['conditions']}")

# %% [markdown]
# What we saw (read it after your try): enlarging last took less time. After so few steps, though, it was 0.2 dB behind, and just below
# bicubic. One short run of each proves neither a loss nor a gain: try more steps, and other seeds.
#
# ## Summary
#
# - Post-upsampling computes at low resolution and enlarges at the end: the same layers then cost `scale**2` times less.
# - The pixel shuffle turns `scale**2` channels into a tile, row by row. Unshuffled, a photo is `scale**2` shifted small ones.
# - Independent filters of a tile start with a checkerboard. ICNR starts them equal: nearest neighbour.
# - A transposed convolution stamps its kernel; a sub-pixel convolution is one, with a kernel `scale` times as wide.
# - Mult-Adds are counted by hand in a line. They are not milliseconds.
#
# ## Further reading
#
# - Shi and others, [Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
#   network](https://arxiv.org/abs/1609.05158), 2016: ESPCN.
# - Dong, Loy and Tang, [Accelerating the super-resolution convolutional neural network](https://arxiv.org/abs/1608.00367), 2016: FSRCNN.
# - Shi and others, [Is the deconvolution layer the same as a convolutional layer?](https://arxiv.org/abs/1609.07009), 2016: the proof in
#   pictures.
# - Odena, Dumoulin and Olah, [Deconvolution and checkerboard artifacts](https://doi.org/10.23915/distill.00003), 2016: to play with.
# - Vyas and others, [SOAP: improving and stabilizing Shampoo using Adam](https://arxiv.org/abs/2409.11321), 2024: the eigenvectors.
# - Aitken and others, [Checkerboard artifact free sub-pixel convolution](https://arxiv.org/abs/1707.02937), 2017: ICNR.
