# %% [markdown]
# # 9. Designs: progressive and iterative, and what a block sees
#
# Four places to enlarge: LapSRN's pyramid, back-projection and the hourglass by hand, receptive fields measured by gradient, and all designs in one plot.
#
# **You will be able to**
#
# - tell the four frameworks apart, and say what a layer costs in each;
# - build a Laplacian pyramid, read LapSRN's residuals, and train a network level by level;
# - correct an image by back-projection, and find this step inside DBPN;
# - measure the receptive field of any network, and say what dilation, density, pyramid pooling and attention change in it;
# - judge a plot of cost and quality, and say what it does not prove.
#
# **You need** lesson 1 (back-projection, PSNR), lesson 4 (residuals, VDSR), lesson 5 (Mult-Adds, pixel shuffle, transposed convolution) and EDSR of lesson 8.
#
# **Time:** 2 minutes of computing on two CPU cores (measured), 2 minutes on a GPU in Colab (an estimate); reading and exercises take longer.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/09_designs.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/09_designs.py) · Previous: [8. EDSR: take out what hurts, then train well](08_edsr.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/08_edsr.ipynb)) · Next: [10. GANs: a network that judges](10_gans.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/10_gans.ipynb)) · [All lessons](README.md)

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
    minutes=(0.6, 2, 2),
    rounds=(1, 6, 6),
    steps=(6, 25, 50),
    draws=(2, 8, 8),
    photos=(2, 6, 6),
    pieces=(1, 4, 4),
)

# %% [markdown]
# ## Where to enlarge?
#
# Lesson 4 enlarged first (*pre-upsampling*), lesson 5 last (*post-upsampling*). Two other answers are left: in steps (*progressive*), and
# up and down again and again (*iterative*).

# %%
import functools

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

load = functools.cache(sr.models.load)  # builds each shipped network only once
pairs = sr.datasets.samples(4, split="validation")
(lr_cat, hr_cat), (lr, hr) = pairs  # a cat, a motorcycle
print(pairs.names, "LR", lr.shape, "HR", hr.shape)

# %% [markdown]
# We ask the networks themselves: how large is the output of each convolution, if the LR image has side 1? Branches beside the main
# path are left out.


# %%
def journey(model, size=32):
    """Returns the side of the maps along a network, in sides of the LR image."""
    aside = ("branch", "interpolation", "return", "stack_0_sub", "stack_0_shuffle")
    kinds = (layers.Conv2D, layers.Conv2DTranspose, sr.layers.PixelShuffle)
    path = [
        layer.output
        for layer in model.layers
        if isinstance(layer, kinds) and not any(word in layer.name for word in aside)
    ]
    image = np.zeros((1, size, size, model.input_shape[-1]), "float32")
    return [x.shape[1] / size for x in keras.Model(model.input, path)(image)]


# %% [markdown]
# Five networks at x4, with few filters, which change nothing here. **Predict:** draw the size along the layers for each: VDSR (enlarge
# first), EDSR (last), LapSRN (in steps), DBPN (up and down), and an hourglass (down, then up).

# %%
designs = {
    "pre-upsampling: VDSR": sr.models.vdsr(4, filters=4),
    "post-upsampling: EDSR": sr.models.edsr(4, filters=4, num_blocks=8),
    "progressive: LapSRN": sr.models.lapsrn(4, filters=4),
    "iterative: DBPN": sr.models.dbpn(4, filters=4, num_features=4, num_stages=3),
    "iterative: stacked hourglass": sr.models.stacked_hourglass(4, filters=4),
}
fig, axes = plt.subplots(5, 1, figsize=(8, 7), sharey=True, layout="constrained")
for ax, (name, model) in zip(axes, designs.items(), strict=True):
    sides = [1, *journey(model)]
    ax.stairs(sides, fill=True, color="#0072B2", baseline=1 / 32)
    ax.axhline(1, color="0.4", linewidth=0.8, linestyle="--")
    ax.set_yscale("log", base=2)
    ax.set(yticks=[1 / 16, 1, 4], yticklabels=["1/16", "LR", "HR"], ylim=(1 / 32, 8))
    ax.set_title(name, fontsize=10, loc="left")
axes[-1].set_xlabel("place on the way from input to output")
plt.show()

# %% [markdown]
# A high plateau, a low one, stairs, a saw, and valleys. Height is cost, and the axis is logarithmic: a convolution uses every weight once for each
# pixel of its map. Take one of 3 x 3, from 64 to 64 channels:

# %%
weights = 3 * 3 * 64 * 64
for factor in (1, 2, 4):
    pixels = (180 * factor) * (320 * factor)
    giga = weights * pixels / 1e9
    print(f"at {factor} times the LR side: {giga:5.2f} G Mult-Adds, x4 to 1280 x 720")

# %% [markdown]
# Each doubling costs four times as much. What do the other two designs get for the price? First the stairs.
#
# ## Progressive: a pyramid
#
# An old code for images (Burt and Adelson, 1983): keep the smallest image, and for each doubling what interpolation missed. Here is one of two
# levels.

# %%
double = sr.models.bilinear(2)
lr1, hr4 = sr.images.to_float(lr), sr.images.to_float(hr)
hr2 = sr.degradations.Downscale(2)(hr4)
detail2 = hr2 - double(lr1[None])[0].numpy()
detail4 = hr4 - double(hr2[None])[0].numpy()

rebuilt2 = double(lr1[None])[0].numpy() + detail2
rebuilt4 = double(rebuilt2[None])[0].numpy() + detail4
np.testing.assert_allclose(rebuilt4, hr4, atol=1e-5)

# %% [markdown]
# With both residuals the photo is back, exactly. **Predict:** what do residuals look like, and which of the two is stronger? (Below, red
# adds light and blue takes it away.)


# %%
def show(ax, image, title, signed=False, limit=0.25):
    """Draws the mean of the colours: grey, or signed from blue to red."""
    image = np.asarray(image).mean(axis=-1)
    if signed:
        ax.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit)
    else:
        ax.imshow(image, cmap="gray", vmin=0, vmax=1)
    ax.set_title(title, fontsize=10)
    ax.set(xticks=[], yticks=[])


# %%
fig, axes = plt.subplots(1, 3, figsize=(7.8, 2.1), layout="constrained")
show(axes[0], lr1, "LR")
for ax, detail, name in ((axes[1], detail2, "x2"), (axes[2], detail4, "x4")):
    show(
        ax,
        detail,
        f"residual of {name}, spread {detail.std():.3f}",
        signed=True,
        limit=0.1,
    )
plt.show()

# %% [markdown]
# Nearly nothing on smooth ground, lines at edges: *Laplacian*, since they resemble second derivatives. That of x2 is the stronger. With both zero, the image would be
# LR, doubled twice by bilinear interpolation.
#
# LapSRN (Lai and others, 2017) predicts these two residuals from LR alone. Here is one level, written out with the layers of a network
# that comes trained with the package:

# %%
path = sr.pretrained.find("lapsrn-x4-bsds-small")
config = sr.pretrained.describe(path)["config"]
lapsrn = sr.models.lapsrn(**config, all_levels=True, weights="bsds-small")
layer = lapsrn.get_layer


def activated(name, x):
    return keras.ops.leaky_relu(layer(name)(x), 0.2)


# %%
def level(image, features, name):
    for i in range(config["num_convs"]):
        features = activated(f"{name}_conv_{i}", features)  # at the old size
    features = activated(f"{name}_up", features)  # at the new size
    interpolated = layer(f"{name}_interpolation")(image)
    residual = layer(f"{name}_residual")(features)
    return interpolated, residual, features


# %% [markdown]
# Two streams: the image doubles by interpolation, the features by a transposed convolution. They meet where the residual is added. The
# network works on luma.

# %%
luma1 = sr.images.luma(lr1)[None]
interpolated2, residual2, features = level(luma1, activated("head", luma1), "x2")
sr2 = interpolated2 + residual2
interpolated4, residual4, _ = level(sr2, features, "x4")
sr4 = interpolated4 + residual4

package = lapsrn(luma1)
np.testing.assert_allclose(sr2, package["x2"], atol=1e-5)
np.testing.assert_allclose(sr4, package["x4"], atol=1e-5)

# %% [markdown]
# **Predict:** this network, trained on photos, invents its residuals without seeing HR. On the name on the tank, which will be
# stronger, its residual or the true one?

# %%
top, left, height, width = 150, 350, 120, 160  # in HR pixels
rows = (
    ("x2", 2, interpolated2, residual2, sr2),
    ("x4", 1, interpolated4, residual4, sr4),
)
fig, axes = plt.subplots(2, 3, figsize=(7.8, 4.4), layout="constrained")
for line, (name, step, *maps) in zip(axes, rows, strict=True):
    y = slice(top // step, (top + height) // step)
    x = slice(left // step, (left + width) // step)
    show(line[0], maps[0][0, y, x], f"{name}: interpolated")
    show(line[1], maps[1][0, y, x], "+ residual", signed=True, limit=0.15)
    show(line[2], maps[2][0, y, x], f"= output of {name}")
plt.show()

# %%
truth = sr.images.luma(hr4)[None] - interpolated4.numpy()
window = (0, slice(top, top + height), slice(left, left + width))
fig, axes = plt.subplots(1, 2, figsize=(6.8, 2.8), layout="constrained")
show(axes[0], residual4[window], "predicted, x4", signed=True, limit=0.15)
show(axes[1], truth[window], "true: HR - interpolated", signed=True, limit=0.15)
plt.show()
guess = residual4.numpy()
print(f"spread: predicted {guess.std():.4f}, true {truth.std():.4f}")
print(f"correlation: {np.corrcoef(guess.ravel(), truth.ravel())[0, 1]:.2f}")

# %% [markdown]
# The guess is weaker, and right where edges are long and clean. Letters and fine fins are missing: a network that is trained on the mean error says
# little where it knows little.
#
# ### Two sizes for the price of one
#
# The way to x4 passes x2. We score both outputs, against HR and against HR halved.

# %%
halved = sr.images.to_integer(hr2)
outputs = {f"x{k}": keras.Model(lapsrn.input, lapsrn.output[f"x{k}"]) for k in (2, 4)}
for factor, target in ((2, halved), (4, hr)):
    for name, model in (
        ("bicubic", sr.models.bicubic(factor)),
        ("LapSRN", outputs[f"x{factor}"]),
    ):
        enlarged = sr.upscale(model, lr, tile=None)
        score = sr.evaluation.score(target, enlarged, factor)
        print(f"x{factor} {name:8} {score['psnr_y']:.2f} dB / {score['ssim_y']:.4f}")
print("motorcycle, PSNR / SSIM on luma, 2 or 4 pixels cut, 8 bits")

# %% [markdown]
# A phone and a poster from one pass. The loss made it so: each level has its own, against HR of its size. ("HR halved" is bicubic
# with antialiasing, in training as here.)
#
# ### A curriculum
#
# Learn to double first, then to quadruple. So was the network above trained: its lower level came from `lapsrn-x2-bsds-small`. What fits from that
# into x4?

# %%
lower = load("lapsrn-x2-bsds-small")


def fresh():
    keras.utils.set_random_seed(1)
    return sr.models.lapsrn(**config, all_levels=True)


pupil = fresh()
fitting = []
for part in pupil.layers:
    if part.weights and part.name in {other.name for other in lower.layers}:
        part.set_weights(lower.get_layer(part.name).get_weights())
        fitting.append(part.name)
assert fitting == sr.training.recipes.transfer(lower, fresh())
print(len(fitting), "layers, such as", ", ".join(fitting[:3]))
school = sr.pretrained.training_of(sr.pretrained.find("lapsrn-x2-bsds-small"))
print("trained before:", school["recipe"]["steps"], "steps at x2")

# %% [markdown]
# `transfer` does this for any two networks. Now two pupils with the same steps, one from nothing, one with its lower level from
# school. **Predict:** who leads at step 0, and who at the end?

# %%
half = sr.degradations.Downscale(2)
train_pairs = sr.datasets.samples(4).subset(range(here.photos))
batches = sr.pipeline.training_batches(train_pairs, 16, batch_size=4, channels=1)
batches = batches.map(lambda lr, hr: (lr, {"x2": half(hr), "x4": hr}))
cat = pairs.subset([0])


def train(model):
    """Returns the PSNR of the cat on the way."""
    large = keras.Model(model.input, model.output["x4"])
    loss = {name: sr.losses.Charbonnier() for name in ("x2", "x4")}
    eager = here.fast  # for so few steps a graph does not pay
    model.compile(keras.optimizers.Adam(1e-3), loss=loss, run_eagerly=eager)
    curve = [sr.evaluate(large, cat, tile=None)["mean"]["psnr_y"]]
    for _ in range(here.rounds):
        model.fit(batches, steps_per_epoch=here.steps, verbose=0)
        curve.append(sr.evaluate(large, cat, tile=None)["mean"]["psnr_y"])
    return curve


# %%
curves = {"from nothing": train(fresh()), "lower level first": train(pupil)}
bar = sr.evaluate(sr.models.bicubic(4), cat)
fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
for name, curve in curves.items():
    ax.plot(here.steps * np.arange(len(curve)), curve, "o-", label=name)
    print(f"{name:18} {curve[0]:.2f} dB, in the end {curve[-1]:.2f} dB")
ax.axhline(bar["mean"]["psnr_y"], color="0.4", linestyle="--", label="bicubic")
ax.set(xlabel="steps on both levels", ylabel="PSNR on luma (dB)")
ax.set_ylim(bar["mean"]["psnr_y"] - 2, bar["mean"]["psnr_y"] + 1)
ax.set_title("LapSRN x4, the cat, 4 pixels cut", fontsize=10)
ax.legend(frameon=False, loc="lower right")
plt.show()
assert curves["lower level first"][-1] > curves["from nothing"][-1]

# %% [markdown]
# "From nothing" begins far below the frame. The other starts almost at bicubic, although its upper level is random, and soon passes it. It is no
# fair race: school took 2,000 steps, on other photos. But it shows that a lower level is worth keeping.
#
# ## Iterative: back-projection
#
# Whatever the network, one test needs no HR: shrink the output again. It should be the LR image. **Predict:** is that so
# for bicubic interpolation?

# %%
shrink = sr.degradations.Downscale(4)
enlarge = sr.models.bicubic(4)
bicubic = enlarge(lr1[None])[0].numpy()
error = lr1 - shrink(bicubic)
print(f"error in LR: {255 * error.std():.2f} grey levels (standard deviation)")

# %%
fig, axes = plt.subplots(1, 3, figsize=(7.8, 2.1), layout="constrained")
show(axes[0], lr1, "LR")
show(axes[1], shrink(bicubic), "bicubic, shrunk again")
show(axes[2], error, "LR - shrunk", signed=True, limit=0.1)
plt.show()

# %% [markdown]
# It is not: bicubic smooths on the way up, and shrinking smooths again. The error is known, so give it back: enlarge the error, and add
# it. Then look again. This is *iterative back-projection* (Irani and Peleg, 1991).


# %%
def psnr_y(hr, image):
    pair = (sr.images.to_float(x)[None] for x in (hr, image))
    return float(sr.metrics.psnr(*pair, luma=True, border=4)[0])


image, log = bicubic, []
for _ in range(11):
    error = lr1 - shrink(image)
    file = sr.images.to_integer(np.clip(image, 0, 1))
    log.append((255 * error.std(), psnr_y(hr, file)))
    image = image + enlarge(error[None])[0].numpy()

# %% [markdown]
# **Predict:** will the error in LR go to zero? And the PSNR against HR, will it rise without end?

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
labels = ("error in LR (grey levels)", "PSNR on luma (dB)")
for ax, values, label in zip(axes, zip(*log, strict=True), labels, strict=True):
    ax.plot(values, "o-", color="#0072B2")
    ax.set(xlabel="back-projections", ylabel=label)
axes[0].set_ylim(bottom=0)
plt.show()
print(f"bicubic {log[0][1]:.2f} dB, after 10 back-projections {log[-1][1]:.2f} dB")
print("motorcycle x4, luma, 4 pixels cut, 8 bits")
assert log[-1][0] < log[0][0] / 4 and log[-1][1] > log[0][1]

# %%
sr.plotting.slider(
    {"bicubic": bicubic, "10 back-projections": np.clip(image, 0, 1)},
    crop=(150, 350, 120, 160),
    zoom=4,
    title="motorcycle x4",
)

# %% [markdown]
# The picture is crisper, with small stairs along slanted edges, and the name stays unreadable. The error in LR falls towards zero, the gain against HR soon ends. Agreeing
# with LR is necessary, not sufficient. Lesson 1 hid a message in that gap.
#
# ### DBPN: the step becomes a layer
#
# Haris and others (2018) keep the loop and learn its parts. An *up-projection* enlarges, shrinks again, and enlarges the difference, with three
# kernels of its own:

# %%
dbpn = sr.models.dbpn(4, filters=8, num_features=16, num_stages=2)


def up_projection(x, network, name):
    def apply(part, x):
        x = network.get_layer(f"{name}_{part}")(x)
        return network.get_layer(f"{name}_{part}_prelu")(x)

    first = apply("project", x)  # enlarge
    error = apply("back", first) - x  # shrink, compare
    return first + apply("correct", error)  # enlarge the error, add it


# %%
inside = [dbpn.get_layer(name).output for name in ("squeeze_prelu", "up_0_sum")]
before, after = keras.Model(dbpn.input, inside)(lr_cat[None, :40, :40] / 255.0)
np.testing.assert_allclose(up_projection(before, dbpn, "up_0"), after, atol=1e-4)
print(before.shape, "->", after.shape)

# %% [markdown]
# Is it really the old step? If so, there must be weights for which DBPN *is* back-projection. Bilinear interpolation x4 is a transposed convolution
# with an 8 x 8 tent, and shrinking is a convolution with the same tent, scaled.

# %%
line = 1 - np.abs(np.arange(8) - 3.5) / 4
tent = np.outer(line, line)
same = np.zeros((3, 3))
same[1, 1] = 1  # a convolution that changes nothing
kernels = {
    "head": same,
    "squeeze": np.ones((1, 1)),
    "up_0_project": tent,
    "up_0_back": tent / tent.sum(),
    "up_0_correct": -tent,  # DBPN's error has the other sign
    "tail": same,
}
print("the tent, one row:", line)

# %%
unit = sr.models.dbpn(4, filters=1, num_features=1, num_stages=1, channels=1)
for name, kernel in kernels.items():
    unit.get_layer(name).set_weights([kernel[..., None, None], np.zeros(1)])
    if name != "tail":
        unit.get_layer(f"{name}_prelu").set_weights([np.ones((1, 1, 1))])  # linear

# %%
enlarge2 = sr.layers.BilinearUpsampling(4)
shrink2 = sr.degradations.Downscale(4, "bilinear")
classic = enlarge2(luma1)[0].numpy()
classic = classic + enlarge2((luma1[0] - shrink2(classic))[None])[0].numpy()
learned = unit(luma1)[0].numpy()
inner = slice(16, -16)  # at the border one repeats pixels, the other pads zeros
np.testing.assert_allclose(learned[inner, inner], classic[inner, inner], atol=1e-4)
print("one step of back-projection = a DBPN of", unit.count_params(), "numbers")

# %% [markdown]
# It is. The paper's network has 64 channels in place of one, learned kernels, seven up-projections with down-projections between, and
# connects them densely: the saw in the first picture. What the learned unit does, where weights are shipped, in its most active channel:

# %%
if "bsds-small" in sr.pretrained.names("dbpn", scale=4):
    network = load("dbpn-x4-bsds-small")
    names = ("up_0_project_prelu", "up_0_correct_prelu", "up_0_sum")
    maps = keras.Model(network.input, [network.get_layer(n).output for n in names])
    maps = [np.asarray(m)[0] for m in maps(lr1[None, 43:61, 91:118])]
    channel = np.argmax(maps[1].std(axis=(0, 1)))
    fig, axes = plt.subplots(1, 3, figsize=(7.8, 2.1), layout="constrained")
    titles = ("first guess", "+ enlarged error", "= corrected")
    for ax, one, title in zip(axes, maps, titles, strict=True):
        one = one[..., channel] - one[..., channel].mean()
        most = np.abs(one).max()
        ax.imshow(one, cmap="RdBu_r", vmin=-most, vmax=most)
        ax.set_title(f"{title}, spread {one.std():.3f}", fontsize=10)
        ax.set(xticks=[], yticks=[])
    plt.show()
else:
    print("This version ships no weights of DBPN.")

# %% [markdown]
# Features need not be images: around the tank, an LR pixel becomes a pattern of 4 x 4, and the correction is nearly as strong as the first guess.
#
# ### The hourglass: down first, then up
#
# The valleys go the other way: shrink features, to see far, and enlarge them back. A *stack* predicts an image after each hourglass; the next one starts from
# it.

# %%
found = sr.pretrained.find("stacked_hourglass-x4-bsds-small")
options = sr.pretrained.describe(found)["config"]
hourglass = sr.models.stacked_hourglass(**options, all_outputs=True, weights=found)
predictions = {
    name: sr.images.to_integer(np.clip(output[0], 0, 1))
    for name, output in hourglass(lr1[None]).items()
}
for name, prediction in {"bicubic": sr.upscale(enlarge, lr), **predictions}.items():
    score = sr.evaluation.score(hr, prediction, 4)
    print(f"{name:8} {score['psnr_y']:.2f} dB / {score['ssim_y']:.4f}")
print("motorcycle x4, PSNR / SSIM on luma, 4 pixels cut, 8 bits")

# %% [markdown]
# **Predict:** what does the second hourglass change? Flat ground, edges, or everything a little?

# %%
first, second = (sr.images.to_float(p) for p in predictions.values())
fig, axes = plt.subplots(1, 2, figsize=(7.4, 2.6), layout="constrained")
y, x = slice(200, 400), slice(220, 520)
show(axes[0], second[y, x], "second prediction")
change = (second - first)[y, x]
show(axes[1], change, "second - first", signed=True, limit=0.08)
plt.show()

# %% [markdown]
# It works on edges, where the first left most to do. So far *where* to enlarge. The other question of design is what a block sees.
#
# ## How far does a network see?
#
# One output pixel depends on some input pixels: its *receptive field*. A gradient measures it. If input pixel A changes a little, how much does the
# middle of the output?


# %%
def reach(model, images):
    """Returns |d middle output / d input|, mean over images and channels."""
    images = tf.convert_to_tensor(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        output = model(images)
        row, column = (side // 2 for side in output.shape[1:3])
        middle = tf.reduce_sum(output[:, row, column])
    return np.abs(tape.gradient(middle, images)).mean(axis=(0, -1))


# %% [markdown]
# First a network that we can check by counting: 3 x 3 convolutions, every weight 1, nothing else. Then the gradient is the number of ways from one
# pixel to the other. **Predict:** how wide is the field of four? Are all its pixels equal?


# %%
def counting(rates):
    """Chains 3x3 convolutions with weights 1, and the given dilations."""
    chain = [keras.Input((None, None, 1))]
    for rate in rates:
        chain.append(
            layers.Conv2D(
                1, 3, padding="same", dilation_rate=rate, kernel_initializer="ones"
            )
        )
    return keras.Sequential(chain)


field = reach(counting([1, 1, 1, 1]), np.zeros((1, 25, 25, 1), "float32"))
line = np.ones(1)
for _ in range(4):
    line = np.convolve(line, np.ones(3))  # the ways, in one direction
np.testing.assert_allclose(field[8:17, 8:17], np.outer(line, line))
print("ways:", line.astype(int), " field:", (field > 0).sum(axis=0).max(), "wide")

# %% [markdown]
# Nine pixels, and not equal at all: 19 x 19 ways lead from the middle to itself, and one from a corner. With more layers it becomes a bell. So
# there are two fields: what *can* matter, and what does. (White, below: no way at all.)

# %%
fig, axes = plt.subplots(1, 3, figsize=(8, 2.9), layout="constrained")
for ax, count in zip(axes, (1, 4, 12), strict=True):
    ways = reach(counting([1] * count), np.zeros((1, 25, 25, 1), "float32"))
    ax.imshow(np.where(ways > 0, ways / ways.max(), np.nan), vmin=0)
    ax.set_title(f"convolutions: {count}", fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ### Six blocks
#
# Now blocks as networks have them: random weights, ReLU, 16 channels. All have four 3 x 3 convolutions on the way; only their arrangement differs. First
# the three that only arrange convolutions:

# %%
size, filters = 48, 16


def conv(x, rate=1):
    options = {"padding": "same", "activation": "relu", "dilation_rate": rate}
    return layers.Conv2D(filters, 3, kernel_initializer="he_normal", **options)(x)


def plain(x, rates=(1, 1, 1, 1)):
    for rate in rates:
        x = conv(x, rate)
    return x


def dilated(x):  # the kernel's nine weights stand `rate` pixels apart
    return plain(x, rates=(1, 2, 4, 8))


def dense(x):  # every convolution gets all maps before it
    for _ in range(4):
        x = layers.Concatenate()([x, conv(x)])
    return x


# %% [markdown]
# Then two that add means: *pyramid pooling*, as in PSPNet, appends the means of 1, 4, 9 and 36 regions; *channel attention*, as in RCAN, multiplies
# each channel by a weight that comes from the means of all pixels. (PSPNet enlarges its means by interpolation; we repeat them.)


# %%
def pyramid(x):
    x = plain(x)
    maps = [x]
    for bins in (1, 2, 3, 6):
        mean = layers.AveragePooling2D(size // bins)(x)
        mean = layers.Conv2D(filters // 4, 1)(mean)
        maps.append(layers.UpSampling2D(size // bins)(mean))
    return layers.Concatenate()(maps)


def attention(x):
    x = plain(x)
    weight = layers.GlobalAveragePooling2D(keepdims=True)(x)
    weight = layers.Dense(filters // 4, activation="relu")(weight)
    weight = layers.Dense(filters, activation="sigmoid")(weight)
    return layers.Multiply()([x, weight])


# %% [markdown]
# And an hourglass: three times halved, and back with a branch across at each size. **Predict** for each of the six: how wide is its field,
# where is it strong, does it have holes or blocks?


# %%
def hourglass_block(x):
    branches = []
    for _ in range(3):
        x = conv(x)
        branches.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = conv(x)
    for branch in reversed(branches):
        x = layers.Add()([layers.UpSampling2D(2)(x), branch])
    return x


# %%
blocks = {
    "plain": plain,
    "dilated": dilated,
    "dense": dense,
    "pyramid pooling": pyramid,
    "channel attention": attention,
    "hourglass": hourglass_block,
}
noise = np.random.default_rng(0).uniform(size=(8, size, size, 3)).astype("float32")
fields = {}
for name, block in blocks.items():
    inputs = keras.Input((size, size, 3))
    draws = [
        reach(keras.Model(inputs, block(inputs)), noise) for _ in range(here.draws)
    ]
    fields[name] = np.mean(draws, axis=0)


# %%
def distances(field):
    """Returns how far each pixel is from the middle, in rows or columns."""
    y, x = np.indices(field.shape)
    return np.maximum(abs(y - field.shape[0] // 2), abs(x - field.shape[1] // 2))


def draw_field(ax, field, title, floor=-5):
    shown = np.log10(np.where(field > 0, field / field.max(), np.nan))
    picture = ax.imshow(shown, cmap="viridis", vmin=floor, vmax=0)
    ax.set_title(title, fontsize=10)
    ax.set(xticks=[], yticks=[], facecolor="0.85")
    return picture


# %%
fig, axes = plt.subplots(2, 3, figsize=(8, 5.8), layout="constrained")
for ax, (name, field) in zip(axes.flat, fields.items(), strict=True):
    picture = draw_field(ax, field, name)
    far = distances(field)
    beyond = field[far > 4].sum() / field.sum()
    print(f"{name:18} reaches {far[field > 0].max():2} pixels,", end=" ")
    print(f"{beyond:6.1%} of the gradient beyond 4")
fig.colorbar(picture, ax=axes, ticks=[-5, -4, -3, -2, -1, 0], shrink=0.6).set_label(
    "|gradient|, powers of 10 of the largest"
)
plt.show()

# %%
radius = {name: distances(f)[f > 0].max() for name, f in fields.items()}
assert radius["plain"] == radius["dense"] == 4 and radius["dilated"] == 15
assert radius["channel attention"] == radius["pyramid pooling"] == size // 2
assert fields["channel attention"].min() > 0  # no pixel is left out
assert (fields["dense"] > 0).sum() == (fields["plain"] > 0).sum() == 81

# %% [markdown]
# Grey is exactly zero. Plain and dense end at the same 9 x 9: density adds shorter ways, none that is longer. Dilation reaches 15 with the same
# weights. Pyramid pooling and attention see *everything*; the first in visible regions, the second faintly and evenly.
#
# The hourglass is wide, in steps, and off the middle: its field follows the grid of its pooling. A scene that moves by one pixel falls otherwise on that
# grid. None of this says what is *good*: a far look costs training, and helps only if far pixels tell something.
#
# ### Inside the two blocks
#
# Dense means that the input of a layer grows. We read it off a package's network, RDN:

# %%
rdn = sr.models.rdn(4, filters=32, num_blocks=1, num_convs=4, growth=16)
widths = [rdn.get_layer(f"block_0_conv{i}").kernel.shape[2] for i in range(4)]
fusion = rdn.get_layer("block_0_fusion").kernel.shape
print("channels into each convolution:", widths)
print(f"the 1 x 1 fusion: from {fusion[2]} to {fusion[3]}")
assert widths == [32 + 16 * i for i in range(4)]

# %% [markdown]
# Attention is a mean, two tiny layers, and a product. By hand, inside the trained RCAN:

# %%
rcan = load("rcan-x4-bsds-small")
name = "group_1_block_1"
parts = [rcan.get_layer(f"{name}_{part}").output for part in ("conv2", "attention")]
inside = keras.Model(rcan.input, parts)


def excite(x):
    mean = keras.ops.mean(x, axis=(1, 2), keepdims=True)
    return rcan.get_layer(f"{name}_excite")(rcan.get_layer(f"{name}_squeeze")(mean))


photos = {"cat": lr_cat, "motorcycle": lr}
attending = {}
for photo, file in photos.items():
    x, attended = inside(sr.images.to_float(file)[None])
    attending[photo] = excite(x)
    np.testing.assert_allclose(x * attending[photo], attended, atol=1e-5)

# %% [markdown]
# **Predict:** 32 weights between 0 and 1 for the cat, 32 for the motorcycle. How different will they be?

# %%
fig, ax = plt.subplots(figsize=(8, 2.6), layout="constrained")
for photo, marker in (("cat", "o"), ("motorcycle", "x")):
    ax.plot(np.ravel(attending[photo]), marker, label=photo)
ax.set(xlabel=f"channel of {name}", ylabel="weight", ylim=(0, 1))
ax.legend(frameon=False)
plt.show()
excitations = [x.output for x in rcan.layers if x.name.endswith("_excite")]
everywhere = keras.Model(rcan.input, excitations)
values = np.array([everywhere(sr.images.to_float(x)[None]) for x in photos.values()])
print(f"all {len(excitations)} blocks: weights from {values.min():.3f}", end=" ")
print(f"to {values.max():.3f},", end=" ")
print(f"the two photos differ by at most {np.abs(values[0] - values[1]).max():.3f}")

# %% [markdown]
# All stay near one half, which is where they started: sigmoid(0). After its short training the attention of this small network does not tell two photos
# apart: it multiplies by nearly a constant. A diagram shows what a layer *could* do. What it does must be measured.
#
# ### Trained networks
#
# How far do trained ones look? We take shipped sets, and pieces of the motorcycle, 64 x 64 LR pixels each.

# %%
corners = ((0, 0), (30, 60), (60, 0), (60, 120))
pieces = np.stack([lr1[y : y + 64, x : x + 64] for y, x in corners])[: here.pieces]
wanted = ("vdsr", "edsr", "rdn", "lapsrn", "dbpn", "rcan", "stacked_hourglass")
if here.fast:
    wanted = ("edsr", "lapsrn", "rcan", "stacked_hourglass")
trained = {}
for network in wanted:
    if "bsds-small" in sr.pretrained.names(network, scale=4):
        trained[network] = load(f"{network}-x4-bsds-small")
print("shipped with this version:", ", ".join(trained))

# %%
looks = {}
for name, model in trained.items():
    luma_only = model.input_shape[-1] == 1
    looks[name] = reach(model, sr.images.luma(pieces) if luma_only else pieces)

# %% [markdown]
# **Predict:** which of them see all 64 x 64 pixels? And within how many pixels do you expect 90% of the gradient?

# %%
few = [
    name for name in ("edsr", "lapsrn", "rcan", "stacked_hourglass") if name in looks
]
fig, axes = plt.subplots(1, len(few), figsize=(9, 2.7), layout="constrained")
for ax, name in zip(axes, few, strict=True):
    picture = draw_field(ax, looks[name], name, floor=-8)
fig.colorbar(picture, ax=axes, ticks=[-8, -4, 0], shrink=0.8).set_label("power of 10")
plt.show()

# %%
fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
styles = ["-", "--", "-.", ":"]
for i, (name, field) in enumerate(looks.items()):
    far = distances(field)
    within = np.array([field[far <= d].sum() for d in range(33)]) / field.sum()
    label = f"{name}: 90% within {np.argmax(within >= 0.9)}"
    ax.plot(np.maximum(1 - within, 1e-9), styles[i % 4], label=label)
    print(f"{name:18} 90% within {np.argmax(within >= 0.9):2} LR pixels,", end=" ")
    print(f"99% within {np.argmax(within >= 0.99):2}, last at {far[field > 0].max()}")
ax.set(yscale="log", ylim=(1e-6, 1.2), xlabel="distance in LR pixels")
ax.set_ylabel("share of gradient beyond")
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# EDSR and LapSRN get 90% from within a few pixels, far less than they could see. RCAN's curve does not fall to zero: attention is global, and here very faint. The hourglass
# looks several times as far, beyond our pieces.
#
# Is a faint gradient real? Paint everything black that is more than 24 pixels from the middle, and compare the *middle* of the output. **Predict:** which
# networks will notice?

# %%
photo = pieces[:1]
far = distances(photo[0, ..., 0])[None, ..., None] > 24
painted = np.where(far, 0, photo).astype("float32")
noticed = {}
for name in few:
    pair = (photo, painted)
    if trained[name].input_shape[-1] == 1:
        pair = tuple(sr.images.luma(x) for x in pair)
    before, after = (np.asarray(trained[name](x))[:, 124:132, 124:132] for x in pair)
    noticed[name] = 255 * np.abs(after - before).max()
    print(f"{name:18} changes by up to {noticed[name]:.4f} grey levels")
assert noticed["edsr"] < noticed["rcan"] < noticed["stacked_hourglass"]

# %% [markdown]
# EDSR and LapSRN cannot notice. RCAN and the hourglass do, by far less than an eye would see. This has a consequence: cut a photo into tiles, and a result may depend on
# the cut. `sr.upscale` measures how far a network looks, and warns where tiles cannot be exact.
#
# ## Four frameworks, one table
#
# | | where its layers work | one 3 x 3 layer, 64 channels, x4 | gives | asks for |
# |---|---|---|---|---|
# | pre-upsampling | HR | 34.0 G | any factor with one network | most multiplications |
# | post-upsampling | LR | 2.1 G | depth for little cost | a new tail for each factor |
# | progressive | LR, then twice that, ... | 2.1 to 8.5 G | all powers of two at once | a loss for each level |
# | iterative | between sizes, many times | 0.01 to 34.0 G | predictions that are corrected | many layers that change size |
#
# All networks of the package, with their papers' sizes:

# %%
print(f"{'network':18}{'framework':22}{'weights':>12}{'G Mult-Adds':>13}  paper")
for framework in dict.fromkeys(e.framework for e in sr.models.CATALOGUE.values()):
    for name, entry in sr.models.CATALOGUE.items():
        if entry.framework == framework:
            print(
                f"{name:18}{framework:22}{entry.parameters:12,}"
                f"{entry.giga_mult_adds:13.1f}  {entry.paper}"
            )
print("at x4, for an output of 1280 x 720")

# %% [markdown]
# Quality has to be measured. We score all shipped sets for x4 on two photos that none has seen. Those called "small" or "bottleneck" are reduced networks, trained for
# minutes; the others have their paper's size. Those trained against a discriminator are left to the lesson on GANs.

# %%
recipes = {
    name: sr.pretrained.training_of(sr.pretrained.find(name))["recipe"]
    for name in sr.pretrained.all_names()
    if "-x4-" in name
}
shown = {n: r for n, r in recipes.items() if "discriminator" not in r}
if here.fast:
    shown = {n: shown[n] for n in ("edsr-x4-bsds-small", "lapsrn-x4-bsds-small")}
print(len(shown), "sets:", ", ".join(shown))

# %%
rows, enlarged = [], {}
for name, recipe in shown.items():
    model = load(name)
    keep = lambda i, lr, sr, hr, s, name=name: enlarged.__setitem__(name, sr)  # noqa
    result = sr.evaluate(model, pairs, tile=None, on_image=keep)
    rows.append(
        {
            "model": name.replace("-x4-bsds", ""),
            "name": name,
            "framework": sr.models.CATALOGUE[recipe["network"]].framework,
            "parameters": model.count_params(),
            "mult_adds": sr.models.mult_adds(model, 4),
            "steps": recipe["steps"],
            **result["mean"],
        }
    )
bar = sr.evaluate(sr.models.bicubic(4), pairs)["mean"]

# %%
rows.sort(key=lambda row: row["psnr_y"])
print(f"{'':24}{'weights':>10}{'G Mult-Adds':>13}{'steps':>8}{'PSNR':>8} / SSIM")
print(f"{'bicubic':24}{'':31}{bar['psnr_y']:8.2f} / {bar['ssim_y']:.4f}")
for row in rows:
    print(
        f"{row['model']:24}{row['parameters']:10,}{row['mult_adds'] / 1e9:13.1f}"
        f"{row['steps']:8,}{row['psnr_y']:8.2f} / {row['ssim_y']:.4f}"
    )
print(sum(row["psnr_y"] > bar["psnr_y"] for row in rows), "of", len(rows), "beat it")
print(f"{', '.join(pairs.names)}: {result['conditions']}")

# %%
sr.plotting.quality_against_cost(
    [row for row in rows if row["psnr_y"] > bar["psnr_y"]],
    x="mult_adds",
    group="framework",
    baselines={"bicubic": bar["psnr_y"]},
    title="Those above bicubic, x4: PSNR on luma, cat and motorcycle, 4 pixels cut",
)

# %% [markdown]
# Read such a plot with care. Steps, losses and sizes differ: EDSR stands apart by its weights and its training, not by its framework. Most are
# well below their papers, and two photos are two photos. LapSRN had 2,000 steps at x2 before, ESPCN and EDSR 40,000, FSRCNN 60,000, SRCNN 32,000 at x3; all but EDSR's
# were SOAP's (lesson 5), each worth several of Adam's. LapSRN also
# enlarges luma only, which is what we score (so do SRCNN, VDSR, ESPCN and FSRCNN). Left out of it is the autoencoder with a bottleneck, below bicubic: lesson 3
# says why. The plot says what *these files* give, not which design is best.
#
# The best set of each framework, as pictures. **Predict:** can you see the order of the scores?

# %%
best = {row["framework"]: row for row in rows}  # sorted: the last one wins
pictures = {"bicubic": sr.upscale(sr.models.bicubic(4), lr)}
for row in best.values():
    pictures[row["model"]] = enlarged[row["name"]]
found = {name: sr.evaluation.score(hr, image, 4) for name, image in pictures.items()}
sr.plotting.comparison(
    {**pictures, "HR": hr},
    scores={name: (s["psnr_y"], s["ssim_y"]) for name, s in found.items()},
    crop=(312, 512, 84, 112),
    columns=3,
    title="motorcycle x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
    whole=False,
)

# %% [markdown]
# All are crisper than bicubic, and EDSR is clearly the firmest: it has several times the weights of the others, and much longer training. Among the other three you have to search.
# HR's fork is straight, with two bright lines along it; no network has both of them, and the autoencoder bends the fork into waves. So size and training show in the
# picture, the framework rather in the cost.
#
# ## Exercises
#
# Each has a solution below it, folded. Try first.
#
# **Exercise 1.** Dilated convolutions with rates 1, 2, 4, 8 reach 15 pixels. How many plain 3 x 3 convolutions reach as far, and how many times
# the weights is that?

# %%
answer = None  # (number of convolutions, times the weights)

sr.course.check(answer, (radius["dilated"], radius["dilated"] / 4))

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 1
# A plain 3x3 convolution adds one pixel to the radius, one of rate r adds r.
answer = (1 + 2 + 4 + 8, 15 / 4)
sr.course.check(answer, (radius["dilated"], radius["dilated"] / 4))
print(answer)

# %% [markdown]
# **Exercise 2.** Four convolutions, all of dilation 2, weights 1. Which share of the square they reach do they see at all? Compute first, then
# look at `reach(counting(...))`. Find rates for three convolutions that reach 8 or more and leave no hole.

# %%
answer = None  # the share, between 0 and 1

seen = reach(counting([2, 2, 2, 2]), np.zeros((1, 33, 33, 1), "float32"))
sr.course.check(answer, (seen[8:25, 8:25] > 0).mean(), tolerance=0.005)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 2
# Only every second row and column: 9 x 9 of 17 x 17 pixels.
answer = 81 / 289
sr.course.check(answer, (seen[8:25, 8:25] > 0).mean(), tolerance=0.005)
fig, axes = plt.subplots(1, 2, figsize=(6, 3), layout="constrained")
for ax, rates in zip(axes, ([2, 2, 2, 2], [1, 2, 5]), strict=True):
    ways = reach(counting(rates), np.zeros((1, 33, 33, 1), "float32"))
    far = distances(ways)[ways > 0].max()
    holes = (ways[16 - far : 17 + far, 16 - far : 17 + far] == 0).sum()
    draw_field(ax, ways, f"rates {rates}: reach {far}, {holes} holes")
plt.show()

# %% [markdown]
# **Exercise 3.** Which share of the Mult-Adds of the paper's LapSRN x4 (`sr.models.lapsrn(4)`, ten convolutions on each level) is spent on the upper level? Estimate
# from the layers' sizes, to two digits.

# %%
answer = None  # between 0 and 1

large = sr.models.lapsrn(4)
lower_part = keras.Model(large.input, large.get_layer("x2").output)
share = 1 - sr.models.mult_adds(lower_part, 2, 360, 640) / sr.models.mult_adds(large, 4)
sr.course.check(answer, share, tolerance=0.02)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 3
# The same layers, on four times the pixels: 4 of 5 parts.
answer = 4 / 5
sr.course.check(answer, share, tolerance=0.02)
print(f"{share:.3f}")

# %% [markdown]
# **Exercise 4.** Quadruple with the x2 network alone, by using it twice, and compare with the x4 network and bicubic on the motorcycle. Count
# the weights of each. What does the comparison say on sharing weights between levels?

# %%
twice = None  # an image of HR's size

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 4
twice = sr.upscale(lower, sr.upscale(lower, lr, tile=None), tile=None)
once = sr.upscale(outputs["x4"], lr, tile=None)
for name, image, count in (
    ("bicubic", sr.upscale(sr.models.bicubic(4), lr), 0),
    ("x2 twice", twice, lower.count_params()),
    ("x4", once, lapsrn.count_params()),
):
    score = sr.evaluation.score(hr, image, 4)
    print(f"{name:9} {count:8,} weights {score['psnr_y']:.2f} dB, motorcycle x4")

# %% [markdown]
# What we saw (read it after your try): half the weights give most of the gain over bicubic, although the x2 network never saw its own output in training.
# Levels have much in common; LapSRN's sequel lets them share their weights.
#
# **Exercise 5.** Does back-projection improve a *network*? Take the output of `edsr-x4-bsds-small` for both photos, measure its error in LR, and
# back-project it once, twice, three times. What happens to the PSNR?

# %%
corrected = None  # your image

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 5
edsr = load("edsr-x4-bsds-small")
for photo, (small, target) in zip(pairs.names, pairs, strict=True):
    small = sr.images.to_float(small)
    image = edsr(small[None])[0].numpy()
    for i in range(4):
        error = small - shrink(image)
        file = sr.images.to_integer(np.clip(image, 0, 1))
        off, psnr = 255 * error.std(), psnr_y(target, file)
        print(f"{photo:10} {i} times: {off:.2f} grey levels in LR, {psnr:.3f} dB")
        image = image + enlarge(error[None])[0].numpy()

# %% [markdown]
# What we saw (read it after your try): EDSR's error in LR was small already, as training rewards it. Back-projection made it smaller still; the PSNR rose by
# about a hundredth of a decibel. The network came close to agreement without being told to.
#
# ## Summary
#
# - Four frameworks: enlarge first, last, in steps, or up and down. A layer costs four times as much at twice the side.
# - LapSRN adds a predicted residual on each level. It gives x2 on the way to x4, and can be trained from the lower level up.
# - Back-projection makes an image agree with its LR image: necessary, not sufficient. DBPN's unit is that step, learned.
# - A receptive field can be measured by a gradient. What can matter and what does matter are two things.
# - Dilation widens, density does not; pyramid pooling and channel attention are global; pooling makes blocks.
# - A plot of cost and quality compares trainings as much as designs.
#
# ## Further reading
#
# - Wang, Chen and Hoi, [Deep learning for image super-resolution: a survey](https://arxiv.org/abs/1902.06068), 2019: the four frameworks.
# - Burt and Adelson, [The Laplacian pyramid as a compact image code](https://doi.org/10.1109/TCOM.1983.1095851), 1983.
# - Lai and others, [Deep Laplacian pyramid networks for fast and accurate super-resolution](https://arxiv.org/abs/1704.03915), 2017: LapSRN. Its
#   [sequel](https://arxiv.org/abs/1710.01992) shares the weights of the levels.
# - Wang and others, [A fully progressive approach to single-image super-resolution](https://arxiv.org/abs/1804.02900), 2018: a curriculum.
# - Irani and Peleg, [Improving resolution by image registration](https://doi.org/10.1016/1049-9652(91)90045-L), 1991: back-projection.
# - Haris, Shakhnarovich and Ukita, [Deep back-projection networks for super-resolution](https://arxiv.org/abs/1803.02735), 2018: DBPN.
# - Newell, Yang and Deng, [Stacked hourglass networks for human pose estimation](https://arxiv.org/abs/1603.06937), 2016.
# - Luo and others, [Understanding the effective receptive field in deep convolutional neural networks](https://arxiv.org/abs/1701.04128), 2016.
# - Yu and Koltun, [Multi-scale context aggregation by dilated convolutions](https://arxiv.org/abs/1511.07122), 2016.
# - Zhao and others, [Pyramid scene parsing network](https://arxiv.org/abs/1612.01105), 2017: pyramid pooling.
# - Zhang and others, [Residual dense network](https://arxiv.org/abs/1802.08797) and
#   [Residual channel attention networks](https://arxiv.org/abs/1807.02758), both for super-resolution, both 2018: RDN and RCAN.
