# %% [markdown]
# # 8. EDSR: take out what hurts, then train well
#
# Residual blocks without batch normalization, residual scaling, losses, learning rates, half precision and the self-ensemble, each measured.
#
# **You will be able to**
#
# - build EDSR from its residual block, and say what it left out of SRResNet and why;
# - show what batch normalization does to contrast, and why a photo's result can depend on its neighbours;
# - compute how fast the variance grows in a deep stack, and stop it by one factor;
# - choose loss, learning-rate schedule and precision by measuring;
# - gain quality without any training by the self-ensemble, and say exactly how much it must gain.
#
# **You need** lesson 5 (the sub-pixel layer, post-upsampling) and lesson 1 (PSNR, its conditions). Lesson 6 says more on what L1 and L2 ask for.
#
# **Time:** 2.5 minutes of computing on two CPU cores (measured), 3 minutes on a GPU in Colab (an estimate); reading and exercises take longer.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/08_edsr.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/08_edsr.py) · Previous: [7. Perceptual loss: compare features, not pixels](07_perceptual.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/07_perceptual.ipynb)) · Next: [9. Designs: progressive and iterative, and what a block sees](09_designs.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/09_designs.ipynb)) · [All lessons](README.md)

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
    minutes=(0.8, 2.5, 3),
    steps=(20, 400, 4000),
    rounds=(2, 8, 10),
    short=(12, 60, 100),
    blocks=(1, 4, 4),
    depth=(3, 20, 32),
    width=(16, 32, 64),
)

# %% [markdown]
# ## Where it ends
#
# EDSR (2017) is still what new networks are compared with. Its *baseline*, the size for small budgets, is shipped with the
# package: 64 filters, 16 blocks, trained for an hour and a half on one processor core, from a body that had been trained at x2, on fewer than 500 photos.

# %%
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers

from sr_keras.evaluation import score

scale = 4
pairs = sr.datasets.samples(scale, split="validation")
lr_file, hr_file = pairs[1]  # the motorcycle
scored = pairs.subset([0]) if here.fast else pairs
shipped = sr.models.load("edsr-x4-bsds")
bicubic = sr.models.bicubic(scale)
print("weights:", shipped.count_params(), "LR", lr_file.shape, "HR", hr_file.shape)

# %% [markdown]
# Neither this photo nor the cat that follows was among the training photos. **Predict:** bicubic interpolation makes slanted bars look
# like stairs. Will the network?

# %%
enlarged = {
    "bicubic": sr.upscale(bicubic, lr_file),
    "EDSR": sr.upscale(shipped, lr_file),
}


def scores_of(images, hr):
    rows = {name: score(hr, image, border=scale) for name, image in images.items()}
    return {name: (row["psnr_y"], row["ssim_y"]) for name, row in rows.items()}


fork = (312, 510, 84, 114)  # top, left, height, width
sr.plotting.comparison(
    {"LR": lr_file, **enlarged, "HR": hr_file},
    scores=scores_of(enlarged, hr_file),
    crop=fork,
    columns=2,
    title="motorcycle x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
)

# %%
sr.plotting.slider(
    {"bicubic": enlarged["bicubic"], "EDSR": enlarged["EDSR"]},
    crop=fork,
    zoom=5,
    title="motorcycle x4: the fork",
)

# %% [markdown]
# Fork and brake disc have firmer edges with smaller stairs. What LR has lost, such as bolts and the profile of the tyre, stays lost. How is this
# network built, and what of its training matters?
#
# ## The residual block
#
# A *residual block* adds something to its input instead of replacing it: `x + f(x)`. The idea is from image
# recognition (ResNet). Two papers adapted it to super-resolution, each by taking parts away.

# %%
kinds = {
    "ResNet, 2015": ["conv", "BN", "ReLU", "conv", "BN", "+", "ReLU"],
    "SRResNet, 2017": ["conv", "BN", "PReLU", "conv", "BN", "+"],
    "EDSR, 2017": ["conv", "ReLU", "conv", "x 0.1", "+"],
}
colors = {"conv": "#56B4E9", "BN": "#E69F00", "x 0.1": "#009E73"}
fig, axes = plt.subplots(1, 3, figsize=(8, 3.6), layout="constrained")
for ax, (title, parts) in zip(axes, kinds.items(), strict=True):
    for i, part in enumerate(parts):
        box = {"boxstyle": "round", "facecolor": colors.get(part, "white")}
        ax.text(
            0, -i, f"{part:^7}", ha="center", va="center", bbox=box, family="monospace"
        )
    plus = -parts.index("+")
    ax.plot([0, 0], [0.9, -len(parts)], color="0.5", zorder=0)
    ax.plot([0, 1, 1, 0], [0.7, 0.7, plus, plus], color="#D55E00", zorder=0)
    ax.set(xlim=(-1, 1.3), ylim=(-7.2, 1), title=title)
    ax.axis("off")
plt.show()

# %% [markdown]
# BN is batch normalization, the orange line the *skip connection*. SRResNet dropped the ReLU after the sum; EDSR dropped BN too, and in its
# large form multiplies by 0.1. PReLU is a ReLU that learns a slope for negative values. By hand, with BN and the factor as options:


# %%
def conv(filters, gain=1 / 3, **options):
    start = keras.initializers.VarianceScaling(gain, "fan_in", "uniform")
    options = {"kernel_initializer": start, **options}
    return layers.Conv2D(filters, 3, padding="same", **options)


def normalized(x, norm):
    return layers.BatchNormalization(momentum=0.9)(x) if norm else x


def block(x, filters, norm=False, residual_scale=1.0, gain=1 / 3):
    branch = normalized(conv(filters, gain)(x), norm)
    branch = layers.ReLU()(branch)
    branch = normalized(conv(filters, gain)(branch), norm)
    if residual_scale != 1:
        branch = layers.Rescaling(residual_scale)(branch)
    return layers.Add()([x, branch])


# %% [markdown]
# Around the blocks: a convolution in front, one behind, a skip over all of them, and the sub-pixel layers of lesson 5, twice x2. Blocks see
# LR pixels only.


# %%
def network(filters=16, num_blocks=4, gain=1 / 3, **options):
    inputs = keras.Input((None, None, 3))
    head = x = conv(filters, gain)(inputs)
    for _ in range(num_blocks):
        x = block(x, filters, gain=gain, **options)
    x = normalized(conv(filters, gain)(x), options.get("norm"))
    x = layers.Add()([x, head])
    for _ in range(2):
        start = keras.initializers.VarianceScaling(gain, "fan_in", "uniform")
        start = sr.layers.ICNR(2, start)
        x = conv(4 * filters, kernel_initializer=start)(x)
        x = sr.layers.PixelShuffle(2)(x)
    return keras.Model(inputs, conv(3, gain)(x))


# %%
lr, hr = sr.images.to_float(lr_file), sr.images.to_float(hr_file)
by_hand = network()
package = sr.models.edsr(scale, filters=16, num_blocks=4)
package.set_weights(by_hand.get_weights())
np.testing.assert_allclose(by_hand(lr[None]), package(lr[None]), atol=1e-5)
print("equal to sr.models.edsr; weights:", package.count_params())
print("the paper's baseline:", sr.models.CATALOGUE["edsr"].parameters)

# %% [markdown]
# ## What batch normalization forgets
#
# In training, BN shifts and scales every channel so that its mean over *batch, rows and columns* becomes 0 and its variance 1. By hand it is
# two lines:


# %%
def batch_norm(x, epsilon=1e-6):
    mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    return (x - mean) / np.sqrt(variance + epsilon)


layer = layers.BatchNormalization(epsilon=1e-6)
package = layer(hr[None], training=True)
np.testing.assert_allclose(batch_norm(hr[None]), package, atol=1e-3)

# %% [markdown]
# Here is a photo, and the same one faded to four tenths of its contrast. **Predict:** what do the two look like after BN?

# %%
faded = 0.3 + 0.4 * hr
after = {name: batch_norm(x[None])[0] for name, x in (("photo", hr), ("faded", faded))}
print("largest difference before:", np.abs(faded - hr).max())
print("largest difference after: ", np.abs(after["faded"] - after["photo"]).max())

fig, axes = plt.subplots(2, 2, figsize=(6.6, 4.8), layout="constrained")
for column, (name, x) in enumerate((("photo", hr), ("faded", faded))):
    axes[0, column].imshow(x)
    axes[1, column].imshow(np.clip(0.5 + after[name] / 6, 0, 1))  # only to show it
    axes[0, column].set_title(name, fontsize=10)
    axes[1, column].set_title(f"{name}, after BN", fontsize=10)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The same picture. Brightness and contrast are gone; whoever gets only the right-hand side cannot know them. A classifier is happy with
# that: a faded cat is a cat. Super-resolution has to *give back* brightness and contrast.
#
# Skip connections carry them around the BN layers, so SRResNet does work. But something remains. In training, BN measures the
# batch; afterwards it takes averages stored during training. **Predict:** will the shipped SRResNet give one photo the same picture both ways?

# %%
srresnet = sr.models.load("srresnet-x4-bsds-small")
cat_lr_file, cat_hr_file = pairs[0]
cat_lr = sr.images.to_float(cat_lr_file)[None]
modes = {}
for name, training in (("stored averages", False), ("its own averages", True)):
    picture = keras.ops.convert_to_numpy(srresnet(cat_lr, training=training))[0]
    modes[name] = sr.images.to_integer(np.clip(picture, 0, 1))
    print(
        f"{name}: mean {picture.mean():.3f}, contrast (deviation) {picture.std():.3f}"
    )
cat_hr = sr.images.to_float(cat_hr_file)
print(f"HR: mean {cat_hr.mean():.3f}, contrast {cat_hr.std():.3f}")

# %%
sr.plotting.comparison(
    {**modes, "HR": cat_hr_file},
    scores=scores_of(modes, cat_hr_file),
    crop=(66, 104, 72, 100),
    columns=3,
    title="SRResNet x4, the cat: PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
    whole=False,
)

# %% [markdown]
# One network, one photo, two contrasts: move the line with the pointer.

# %%
sr.plotting.slider(modes, crop=(40, 80, 120, 160), zoom=3, title="SRResNet x4")

# %% [markdown]
# The stored averages describe the training patches, and this photo is unlike their average. On its own
# averages it comes out with harder edges, which are not those of HR: PSNR falls.
#
# Stranger still: in training, a patch's result depends on the *other* patches of the batch. We pair the cat's eye with two
# companions.

# %%
eye = cat_lr[:, 14:46, 20:68]  # LR pixels
train_pairs = sr.datasets.samples(scale)
answers = {}
for name in ("hubble_deep_field", "coffee"):
    other = sr.images.to_float(train_pairs[train_pairs.names.index(name)][0])
    batch = np.concatenate([eye, other[None, 30:62, 30:78]])
    for kind, model in (("SRResNet", srresnet), ("EDSR", shipped)):
        picture = keras.ops.convert_to_numpy(model(batch, training=True))[0]
        answers[f"{kind}, beside {name}"] = np.clip(picture, 0, 1)
for kind in ("SRResNet", "EDSR"):
    first, second = (x for name, x in answers.items() if name.startswith(kind))
    change = 255 * np.abs(first - second).mean()
    print(f"{kind}: the eye changes by {change:.1f} grey levels (mean)")

# %%
fig, axes = plt.subplots(2, 3, figsize=(9, 4.4), layout="constrained")
for row, kind in zip(axes, ("SRResNet", "EDSR"), strict=True):
    pair = {name: x for name, x in answers.items() if name.startswith(kind)}
    first, second = pair.values()
    pair["10 times the difference"] = 0.5 + 10 * (first - second)  # grey is 0
    for ax, (name, picture) in zip(row, pair.items(), strict=True):
        ax.imshow(np.clip(picture, 0, 1))
        ax.set_title(name, fontsize=9)
        ax.set(xticks=[], yticks=[])
plt.show()
srresnet = sr.models.load("srresnet-x4-bsds-small")  # see below

# %% [markdown]
# EDSR does not care about company; SRResNet does. During training that is noise on colours and edges. For a classifier such
# noise can even help; here it is an error.
#
# The last line loads SRResNet again, for a reason that is a trap: each call with `training=True` also moves the stored averages.
#
# ## The same network, with and without
#
# Now the experiment: one small EDSR, and one with BN after each convolution of its blocks and body. All convolutions start equal, and the batches are the
# same. The loss is L1, the mean absolute error. Six photos are for training, the cat and the motorcycle for scoring.

# %%
batches = sr.pipeline.training_batches(train_pairs, lr_size=16, batch_size=4)


def train(model, loss="mae", rate=None):
    """Trains; returns the mean PSNR on the scored photos after each round."""
    if rate is None:
        rate = keras.optimizers.schedules.CosineDecay(2e-3, here.steps)
    model.compile(keras.optimizers.Adam(rate), loss=loss)
    curve, count = [], here.steps // here.rounds

    def look(epoch, logs):
        curve.append(sr.evaluate(model, scored)["mean"]["psnr_y"])

    look = keras.callbacks.LambdaCallback(on_epoch_end=look)
    model.fit(
        batches, steps_per_epoch=count, epochs=here.rounds, callbacks=[look], verbose=0
    )
    return curve


# %%
def convolutions(model):
    return [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]


plain = network(num_blocks=here.blocks)
with_norm = network(num_blocks=here.blocks, norm=True)
for a, b in zip(convolutions(plain), convolutions(with_norm), strict=True):
    b.set_weights(a.get_weights())
start = plain.get_weights()
bar = sr.evaluate(bicubic, scored)
print("weights:", plain.count_params(), "and with BN:", with_norm.count_params())
print(f"bicubic: {bar['mean']['psnr_y']:.2f} dB, {', '.join(scored.names)}")
print(bar["conditions"])

# %% [markdown]
# **Predict:** which curve is higher, and is the gap larger at the beginning or at the end?

# %%
curves = {"no BN": train(plain), "BN": train(with_norm)}


def draw(curves, title):
    fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
    count = here.steps // here.rounds
    for name, curve in curves.items():
        ax.plot(count * np.arange(1, len(curve) + 1), curve, "o-", ms=4, label=name)
    ax.axhline(bar["mean"]["psnr_y"], color="0.4", linestyle="--", label="bicubic")
    ax.set(xlabel="steps", ylabel="PSNR on luma (dB)")
    ax.set_title(
        f"{title}; x4, 4 pixels cut, {' and '.join(scored.names)}", fontsize=10
    )
    ax.legend(frameon=False)
    plt.show()
    for name, curve in curves.items():
        print(f"{name}: {curve[0]:.2f} dB first, {curve[-1]:.2f} dB last")


draw(curves, "L1, cosine from 0.002")

# %%
kept = with_norm.get_weights()
own = sr.evaluate(lambda x: with_norm(x, training=True), scored)["mean"]["psnr_y"]
with_norm.set_weights(kept)  # the calls have moved the stored averages
print(f"BN on stored averages:         {curves['BN'][-1]:.2f} dB")
print(f"BN, each photo on its own:     {own:.2f} dB")
print(f"no BN:                         {curves['no BN'][-1]:.2f} dB")

# %% [markdown]
# The network with BN lags behind from the first look to the last. Nor is it only the stored averages: on a photo's own averages it does not
# catch up either. Still, this is one short run of a small network; Lim and others report a gain for long ones, as we shall see.
#
# ## What batch normalization was good for
#
# It kept numbers in bounds. Without it, each block adds its branch to what was there, and variances of independent things add up. How
# fast?
#
# Let a convolution's weights have variance `gain / fan_in`, where `fan_in` is the count of numbers that it sums. Then it multiplies the mean square by `gain`; the
# ReLU halves that; the second convolution multiplies by `gain` again. The sum's variance grows by the factor


# %%
def growth(gain, residual_scale=1.0):
    return 1 + residual_scale**2 * gain**2 / 2


for name, gain in (("He", 2), ("Keras's default (Glorot)", 1), ("PyTorch's", 1 / 3)):
    print(f"{name}: {growth(gain):.3f} a block, {growth(gain) ** 32:.3g} in 32 blocks")
print(f"Glorot, residual scaling 0.1: {growth(1, 0.1) ** 32:.3g} in 32 blocks")

# %% [markdown]
# **Predict:** does a real stack obey this little formula? We send noise through 32 untrained blocks and measure.


# %%
def variances(gain, residual_scale, filters=2 * here.width):
    x = np.random.default_rng(0).normal(size=(1, 24, 24, filters)).astype("float32")
    found = [x.var()]
    for _ in range(32):
        branch = conv(filters, gain, activation="relu")(x)
        branch = conv(filters, gain)(branch)
        x = x + residual_scale * keras.ops.convert_to_numpy(branch)
        found.append(x.var())
    return np.array(found)


# %%
cases = {
    "He": (2, 1),
    "Glorot": (1, 1),
    "PyTorch's, as EDSR": (1 / 3, 1),
    "Glorot, scaling 0.1": (1, 0.1),
}
fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
for name, (gain, residual_scale) in cases.items():
    found = variances(gain, residual_scale)
    (line,) = ax.plot(found, "o", ms=4, label=f"{name}: {found[-1]:.2g} at the end")
    ax.plot(growth(gain, residual_scale) ** np.arange(33), color=line.get_color())
ax.set(yscale="log", xlabel="blocks", ylabel="variance")
ax.set_title(
    f"Untrained, {2 * here.width} filters: measured (points), formula (lines)",
    fontsize=10,
)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# It does, roughly: on this axis a straight line, a little below the formula's. The zeros beyond the border add nothing. One factor of 0.1 turns an explosion
# into a small rise. The initializer matters as much: EDSR's authors started small, by the habit of Torch, now PyTorch's.
#
# Does it matter for training? A deep stack with Keras's default start, once as it is and once with `residual_scale=0.1`:

# %%
losses = {}
for residual_scale in (1.0, 0.1):
    deep = network(16, here.depth, gain=1, residual_scale=residual_scale)
    deep.compile(keras.optimizers.Adam(1e-3), loss="mae")
    found = losses[f"scaling {residual_scale}"] = []
    for patches in batches.take(here.short):
        deep.reset_metrics()  # each step's loss, not the mean so far
        found.append(float(deep.train_on_batch(*patches)))

# %%
fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
for name, found in losses.items():
    ax.plot(found, label=name)
    print(f"{name}: loss {found[0]:.3g} at first, {np.mean(found[-5:]):.3g} at the end")
ax.set(yscale="log", xlabel="steps", ylabel="mean absolute error")
ax.set_title(f"{here.depth} blocks of 16 filters, Glorot, Adam 0.001", fontsize=10)
ax.legend(frameon=False)
plt.show()
assert np.mean(losses["scaling 0.1"]) < np.mean(losses["scaling 1.0"])

# %% [markdown]
# The unscaled stack starts with an error far above any picture's, and first has to unlearn it; the scaled one starts where training can begin. BN would have tamed it
# too: it divides by the deviation. Scaling does it without looking at the batch.
#
# ## L1 or L2?
#
# Many HR patches fit one LR patch. Say that a pixel near an edge is black (0) in six of ten of them and white (1) in four. A network
# must give one number. **Predict:** which one does L2 prefer, and which L1?

# %%
guess = np.linspace(0, 1, 101)
truths = np.array([0] * 6 + [1] * 4)
errors = guess[:, None] - truths
fig, ax = plt.subplots(figsize=(8, 2.6), layout="constrained")
for name, loss in (("L1", np.abs(errors)), ("L2", errors**2)):
    mean = loss.mean(axis=1)
    (line,) = ax.plot(guess, mean, label=name)
    ax.plot(guess[mean.argmin()], mean.min(), "o", color=line.get_color())
    print(f"{name} is least at {guess[mean.argmin()]:.2f}")
ax.set(xlabel="guess", ylabel="expected loss")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# L2 answers with the mean, a grey that is in none of the ten. L1 answers with the median, here the majority. Here L1 makes up its
# mind, and L2 does not. Yet PSNR is made of squared errors: L2 should win there.
#
# EDSR's authors found that L1 "provides better convergence". Same start, same batches, same schedule:

# %%
squared = network(num_blocks=here.blocks)
squared.set_weights(start)
curves["L2"] = train(squared, loss="mse")
draw({"L1": curves["no BN"], "L2": curves["L2"]}, "cosine from 0.002")

# %% [markdown]
# The two curves cross on the way and end close together; which is ahead, other random numbers can turn round. The published difference is small as well: +0.04 dB for L1 at x2, and 0.00 at x4
# (SRResNet on DIV2K, RGB). The loss is not what EDSR lives from.

# %%
trained = {"L1": plain, "L2": squared, "L1, BN": with_norm, "shipped": shipped}
images = {name: sr.upscale(model, cat_lr_file) for name, model in trained.items()}
sr.plotting.comparison(
    {**images, "HR": cat_hr_file},
    scores=scores_of(images, cat_hr_file),
    crop=(66, 104, 72, 100),
    columns=3,
    title="cat x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
    whole=False,
)

# %% [markdown]
# Three short trainings in the first row: blurred fur, small steps along the lid, colours a little off. L1 and L2 are hard to tell apart. The shipped network shows what more filters, photos and steps bring. None of
# them shows the hairs of HR.
#
# ## The learning rate's way down
#
# Large steps travel far, small steps settle. EDSR's rate starts at 0.0001 and is halved every 200,000 steps. Today a *cosine* is common: no
# jumps, and down to zero at the last step. By hand:


# %%
def cosine(step, steps, rate=2e-3):
    return rate * (1 + np.cos(np.pi * step / steps)) / 2


def halving(step, steps, rate=2e-3):
    return rate * 0.5 ** np.floor(step / (steps / 5))


package = keras.optimizers.schedules.CosineDecay(2e-3, 100)
for step in (0, 17, 50, 100):
    np.testing.assert_allclose(cosine(step, 100), package(step), atol=1e-8)

x = np.arange(1000)
fig, ax = plt.subplots(figsize=(8, 2.4), layout="constrained")
ax.plot(x, np.full(1000, 2e-3), label="constant")
ax.plot(x, halving(x, 1000), label="halving")
ax.plot(x, cosine(x, 1000), label="cosine")
ax.set(xlabel="steps of 1,000", ylabel="learning rate")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# **Predict:** with the constant rate of 0.002, will the curve lie below, above, or on both sides of the cosine's?

# %%
constant = network(num_blocks=here.blocks)
constant.set_weights(start)
curves["constant"] = train(constant, rate=2e-3)
draw({"cosine": curves["no BN"], "constant": curves["constant"]}, "L1, from 0.002")
half = here.rounds // 2
for name in ("no BN", "constant"):
    jumps = np.abs(np.diff(curves[name][half - 1 :]))
    name = name.replace("no BN", "cosine")  # as in the picture
    print(f"{name}: mean change from look to look, second half, {jumps.mean():.3f} dB")

# %% [markdown]
# The constant rate jumps: a look earlier or later, and the score is another. Where you stop decides what you get, and the last look can be a lucky one. The cosine comes to rest. (In so short a training it also
# travels less far.) So compare networks at the *end* of a falling schedule, never at some step on the way.

# %% [markdown]
# ## Half the bits
#
# *Mixed precision* computes in 16 bits what 32 bits do not improve. `bfloat16` keeps the range of float32 and only 8 binary digits.
# **Predict:** starting at 1, we add 0.001 a hundred times. Where do we arrive?

# %%
for dtype in ("float32", "bfloat16"):
    x = keras.ops.ones((), dtype)
    for _ in range(100):
        x = x + keras.ops.cast(0.001, dtype)
    print(f"{dtype}: {float(x):.4f}")

# %% [markdown]
# At 1, still: 0.001 is less than half the distance to the next number. A training moves its weights by such steps. So mixed precision
# keeps *weights* in float32 and only computes in 16 bits. Keras calls that a policy:

# %%
keras.config.set_dtype_policy("mixed_bfloat16")
half_edsr = sr.models.edsr(scale, filters=16, num_blocks=4)
keras.config.set_dtype_policy("float32")
for name in ("block_0_conv1", "tail"):
    layer = half_edsr.get_layer(name)
    print(f"{name}: computes in {layer.compute_dtype}, stores {layer.variable_dtype}")

# %% [markdown]
# The package keeps the last convolution in float32: in bfloat16, values between 0.5 and 1 would be 1/256 apart, as coarse as an 8-bit
# file. What does the rest cost in quality? The shipped network, computed both ways:

# %%
rough = sr.inference.with_precision(shipped, "mixed_bfloat16")
piece = sr.images.to_float(hr_file)[:320, 200:620], lr[:80, 50:155]
images = {}
for name, model in (("float32", shipped), ("mixed_bfloat16", rough)):
    picture = np.clip(model.predict_on_batch(piece[1][None]), 0, 1)
    images[name] = picture
    value = sr.metrics.psnr(piece[0][None], picture, luma=True, border=4)[0]
    print(
        f"{name}: {float(value):.3f} dB (part of the motorcycle, x4, luma, 4 pixels cut)"
    )
largest = 255 * np.abs(images["float32"] - images["mixed_bfloat16"]).max()
print(f"largest difference: {largest:.1f} grey levels")

# %% [markdown]
# Next to nothing, on this photo. And speed? That is up to the processor: without 16-bit units it
# has to convert back and forth. **Predict:** what does *your* machine gain? Then measure it:


# %%
def milliseconds(policy, repeats=5):
    """Returns the median time of a training step under a policy."""
    keras.config.set_dtype_policy(policy)
    model = sr.models.edsr(scale, filters=here.width, num_blocks=here.blocks)
    keras.config.set_dtype_policy("float32")
    model.compile("adam", loss="mae")
    lr, hr = next(iter(batches))
    model.train_on_batch(lr, hr)  # compiles
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        model.train_on_batch(lr, hr)
        seconds.append(time.perf_counter() - begin)
    return 1000 * np.median(seconds)


# %%
advice = sr.training.choose_precision()
times = {}
for policy in dict.fromkeys(("float32", "mixed_bfloat16", advice)):
    times[policy] = milliseconds(policy)
    gain = times["float32"] / times[policy]
    print(f"{policy}: {times[policy]:.0f} ms a step, {gain:.2f} times float32's speed")
print("sr.training.choose_precision() advises", advice)

# %% [markdown]
# Above 1 is faster, below 1 is slower. Processors without units for 16 bits lose; those that have them usually win, if the network is large enough to keep them
# busy. So measure, or let `choose_precision` ask the hardware. With `mixed_float16`, gradients can also fall
# below the smallest number; Keras then scales the loss.
#
# ## Eight views of one photo
#
# A network trained on photos turned and flipped at random should not care about direction. Does it? We turn LR in all
# eight ways, enlarge, and turn back.


# %%
def eight_views(model, lr):
    found = []
    for turns in range(4):
        for flip in (False, True):
            view = np.rot90(lr, turns)
            view = view[:, ::-1] if flip else view
            picture = model.predict_on_batch(np.ascontiguousarray(view)[None])[0]
            picture = picture[:, ::-1] if flip else picture
            found.append(np.rot90(picture, -turns))
    return np.array(found)


views = eight_views(shipped, lr)
mean = views.mean(axis=0)
small = lr[:30, :40]
package = sr.upscale(shipped, small, self_ensemble=True)
by_hand = np.clip(eight_views(shipped, small).mean(axis=0), 0, 1)
np.testing.assert_allclose(by_hand, package, atol=1e-4)

# %% [markdown]
# Their mean is the *self-ensemble*; papers mark it by a plus, as in EDSR+. **Predict:** is the mean's score the mean of the eight scores, the
# best of them, or better than all?


# %%
def psnr_y(picture):
    picture = np.clip(picture, 0, 1)[None].astype("float32")
    return float(sr.metrics.psnr(hr[None], picture, luma=True, border=scale)[0])


single = [psnr_y(view) for view in views]
print("the eight:", " ".join(f"{value:.2f}" for value in single))
print(f"their mean picture: {psnr_y(mean):.2f} dB (motorcycle x4, luma, 4 pixels cut)")
assert psnr_y(mean) > max(single)

# %% [markdown]
# Better than each. That its squared error is below their *average* one is no luck but algebra: the squared error of a mean is the mean of the squared errors minus the variance of
# the eight. Let us check it:

# %%
error_of_mean = np.mean((mean - hr) ** 2)
mean_of_errors = np.mean((views - hr) ** 2)
spread = np.mean(views.var(axis=0))
np.testing.assert_allclose(error_of_mean, mean_of_errors - spread, rtol=1e-3)
print(f"{mean_of_errors:.3e} - {spread:.3e} = {error_of_mean:.3e} (RGB, whole photo)")

# %% [markdown]
# So the gain is exactly the disagreement. Where do the eight disagree? **Predict:** on smooth ground, at edges, or in texture?

# %%
top, left, height, width = fork
part = np.s_[top : top + height, left : left + width]
deviation = 255 * views.std(axis=0).mean(axis=-1)
error = 255 * np.abs(mean - hr).mean(axis=-1)
fig, axes = plt.subplots(1, 3, figsize=(10, 2.7), layout="constrained")
axes[0].imshow(np.clip(mean, 0, 1)[part])
for ax, values, top_value in ((axes[1], deviation, 8), (axes[2], error, 60)):
    drawn = ax.imshow(values[part], cmap="magma", vmin=0, vmax=top_value)
    fig.colorbar(drawn, ax=ax, label="grey levels")
for ax, title in zip(axes, ("mean of eight", "their deviation", "error"), strict=True):
    ax.set_title(title, fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()
print(
    f"correlation of the two maps: {np.corrcoef(deviation.ravel(), error.ravel())[0, 1]:.2f}"
)

# %% [markdown]
# Least on the smooth ground, most where there is detail, and there the error is larger too: a rough map of doubt, for free. A fine grid lies over it: places within a
# tile of the sub-pixel layer, which turning exchanges. But mind the scales: the deviation is far smaller than the error. The eight share their mistakes, and agreement proves nothing.
#
# The price is eight times the computing. And it holds only if turning makes sense for the degradation: for bicubic LR images it does.
#
# ## From baseline to the paper's table
#
# What brought EDSR to the top? Its authors changed one thing after the other and published the scores: x2, ten photos of DIV2K, RGB, eight border pixels cut,
# 300,000 steps each. **Predict:** which change brings most?

# %%
published = {
    "SRResNet, L2": 34.40,
    "SRResNet, L1": 34.44,
    "EDSR-baseline:\nno BN": 34.55,
    "EDSR: 32 blocks,\n256 filters, x 0.1": 35.03,
    "EDSR+:\nself-ensemble": 35.12,
}
fig, ax = plt.subplots(figsize=(9, 3), layout="constrained")
bars = ax.bar(published.keys(), published.values(), color="#0072B2", width=0.6)
ax.bar_label(bars, fmt="%.2f")
ax.set(ylim=(34.2, 35.3), ylabel="PSNR on RGB (dB)")
ax.set_title(
    "Published by Lim and others (2017); the axis does not begin at 0", fontsize=10
)
ax.tick_params(axis="x", labelsize=8)
plt.show()

# %% [markdown]
# Size. L1 brings 0.04 dB, the blocks without BN (and what else is simpler in the baseline) 0.11, a network with many times the weights 0.48, and the self-ensemble 0.09. But the parts belong together:
# without BN there is memory for a wide network (they report 40% less), and without 0.1 it did not train stably.
#
# On Set5, by the papers' protocol, everything can be compared. The first three are shipped with the package, the others published:

# %%
rows = [
    ("small SRResNet", 211_000, 30.05, "shipped with sr_keras"),
    ("small EDSR", 233_000, 30.83, "shipped with sr_keras"),
    ("our EDSR-baseline", 1_517_571, 31.74, "shipped with sr_keras"),
    ("SRCNN", 57_000, 30.48, "published"),
    ("VDSR", 665_000, 31.35, "published"),
    ("EDSR-baseline", 1_517_571, 32.09, "published"),
    ("EDSR", 43_089_923, 32.46, "published"),
    ("EDSR+", 43_089_923, 32.62, "published"),
    ("RCAN", 15_592_355, 32.63, "published"),
]
names = ("model", "parameters", "psnr_y", "source")
sr.plotting.quality_against_cost(
    [dict(zip(names, row, strict=True)) for row in rows],
    group="source",
    baselines={"bicubic": 28.42},
    title="Set5 x4, PSNR on luma, 4 pixels cut, LR by MATLAB's bicubic",
)

# %% [markdown]
# Same size, and yet our baseline lies below the published one: 40,000 steps at x2 and, from there, 8,000 at x4 with small patches, on fewer than 500 small photos, against hundreds
# of thousands of steps of 16 patches of 48 x 48, from 800 large ones. More steps alone are no remedy: after 37,000 at x4, 16 patches of 48 x 48 each, the loss on these photos
# was lower, and photos held out from the training were worse (28.14 dB, against 28.37 of the shipped network; 28.25 after 16,000). It had begun to learn the photos by heart; what it takes is more photos. The small EDSR was trained with SOAP (lesson 5): five minutes, 2,000 steps, bring it past the published SRCNN; as many
# of Adam's ended at 29.95 dB, below it. (The small SRResNet had another loss and smaller batches: its distance to EDSR is no measure of BN.) Training is a part of the result. What this lesson has, on its own two photos:

# %%
ladder = {
    "bicubic": bar,
    "16 filters, trained here": sr.evaluate(plain, scored),
    "EDSR-baseline, shipped": sr.evaluate(shipped, scored),
    "EDSR-baseline+": sr.evaluate(shipped, scored, self_ensemble=True),
}
for name, result in ladder.items():
    mean = result["mean"]
    print(f"{name:26} {mean['psnr_y']:.2f} dB / {mean['ssim_y']:.4f}")
print(f"{', '.join(scored.names)}, x4; {bar['conditions']}")
reached = [result["mean"]["psnr_y"] for result in ladder.values()]
assert reached[0] < reached[2] < reached[3]

# %% [markdown]
# In its few steps, the network trained here has hardly left bicubic behind; the shipped one, with more of everything, has. These are not Set5's numbers, and may not be put into that chart: other photos, other decibels.
#
# To go on towards the paper: DIV2K's 800 photos; patches of 48 x 48 LR pixels, 16 in a batch; hundreds of thousands of
# steps (for their large network the authors report eight days on GPUs of 2017). With your own photos: `python -m sr_keras train edsr --scale 4 --data FOLDER --out RUN --steps 20000`.
#
# ## Exercises
#
# Each has a solution below it, folded. Try first.
#
# **Exercise 1.** How many weights has the large EDSR at x4: 256 filters, 32 blocks? Count kernels and biases: head, blocks, body, two
# sub-pixel convolutions, tail. Check your formula on the baseline first: 64 filters, 16 blocks, 1,517,571.

# %%
answer = None  # a whole number

sr.course.check(answer, 43_089_923)


# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 1
def count(filters, blocks):
    square = 9 * filters**2 + filters  # a convolution from filters to filters
    head, tail = 9 * 3 * filters + filters, 9 * filters * 3 + 3
    up = 9 * filters * 4 * filters + 4 * filters
    return head + (2 * blocks + 1) * square + 2 * up + tail


assert count(64, 16) == 1_517_571 and count(16, here.blocks) == plain.count_params()
answer = count(256, 32)
sr.course.check(answer, 43_089_923)
print(answer)

# %% [markdown]
# **Exercise 2.** Keras's default start, 32 blocks. Which residual scaling lets the variance exactly double from the first block to the
# last? Solve the formula of `growth`.

# %%
answer = None  # a number

sr.course.check(answer, (2 * (2 ** (1 / 32) - 1)) ** 0.5, tolerance=1e-3)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 2
# (1 + s^2 / 2)^32 = 2, so s^2 = 2 (2^(1/32) - 1)
answer = np.sqrt(2 * (2 ** (1 / 32) - 1))
sr.course.check(answer, (2 * (2 ** (1 / 32) - 1)) ** 0.5, tolerance=1e-3)
print(f"{answer:.3f}; check: {growth(1, answer) ** 32:.3f}")

# %% [markdown]
# **Exercise 3.** After training, BN costs nothing: fold it into the convolution before it. Find `kernel` and `bias` such that one convolution
# equals the first convolution *and* BN of the shipped SRResNet. What does that say of BN's harm: is it in the finished network or in its training?

# %%
first, norm = (srresnet.get_layer(f"block_0_conv1{end}") for end in ("", "_norm"))
gamma, beta, moving_mean, moving_variance = norm.get_weights()
kernel, bias = None, None  # yours; `norm.epsilon` and `first.get_weights()` help

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 3
factor = gamma / np.sqrt(moving_variance + norm.epsilon)
kernel = first.get_weights()[0] * factor  # one factor for each filter
bias = beta - moving_mean * factor

x = np.random.default_rng(0).normal(size=(1, 9, 9, 32)).astype("float32")
folded = keras.ops.conv(x, kernel, padding="same") + bias
np.testing.assert_allclose(folded, norm(first(x), training=False), atol=1e-4)
print("equal: the finished network is one without BN; the harm is in the training")

# %% [markdown]
# **Exercise 4.** The authors started x4 from a trained x2, and so did we. Go the other way: from the shipped x4 network to x2 and to x3. How many of the 36
# convolutions of `sr.models.edsr(2)` have the same shape in it, and how many of those of `edsr(3)`?

# %%
answer = None  # two numbers, for x2 and x3

sr.course.check(answer, [36, 35])

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 4
from sr_keras.training.recipes import transfer

answer = []
for other in (2, 3):
    target = sr.models.edsr(other)
    answer.append(len(transfer(shipped, target)))
    low, high = sr.datasets.samples(other, split="validation")[1]
    low, high = low[:64, :64], high[: 64 * other, : 64 * other]
    for name, model in (("copied", target), ("bicubic", sr.models.bicubic(other))):
        value = score(high, sr.upscale(model, low), border=other)["psnr_y"]
        print(f"x{other}, {name}: {value:.2f} dB, without any training")
print("corner of the motorcycle, luma, as many border pixels cut as the scale says")
# for x3, the sub-pixel convolution has 9 x 64 channels instead of 4 x 64
sr.course.check(answer, [36, 35])

# %% [markdown]
# (Read it after your try:) all 36, and all but the sub-pixel convolution. The body transfers. At x2 the picture is already one, because this body and these upper layers began there; but the end has
# to learn its task anew: even there the copy is below bicubic. Copied weights are a start, and no result.
#
# **Exercise 5.** Is an ensemble of two views worth a quarter of that of eight? For every pair out of the eight, average the two `views` and
# compute the squared error in `part`. Which part of the gain from one view to eight do pairs reach on average? And which would you compute by a formula?

# %%
answer = None  # a fraction between 0 and 1

if answer is not None:
    sr.course.check(answer, 4 / 7, tolerance=0.01)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 5
from itertools import combinations

piece, truth = views[(slice(None), *part)].astype("float64"), hr[part]
found = {}
for k in (1, 2, 4, 8):
    means = [piece[list(chosen)].mean(axis=0) for chosen in combinations(range(8), k)]
    found[k] = np.mean([np.mean((x - truth) ** 2) for x in means])
for k, value in found.items():
    print(f"{k} views: {(found[1] - value) / (found[1] - found[8]):.3f} of the gain")
# the variance of a mean of k out of 8 is (8 - k) / (7 k) of that of one: 1 - 6/14 = 4/7
answer = (found[1] - found[2]) / (found[1] - found[8])
sr.course.check(answer, 4 / 7, tolerance=0.01)

# %% [markdown]
# ## Summary
#
# - A residual block adds to its input. EDSR's is convolution, ReLU, convolution: SRResNet's BN is gone.
# - BN forgets brightness and contrast, mixes the patches of a batch, and behaves differently in training and use. In use it is a convolution's
#   factor and bias.
# - In an untrained stack the variance grows by `1 + (gain * residual_scale)**2 / 2` a block. Scaling by 0.1 keeps it near 1.
# - L2 asks for the mean, L1 for the median. The published difference in PSNR is small; one short run each cannot settle it.
# - A falling learning rate settles. A constant one leaves the last score to chance.
# - 16 bits help where the hardware has them: measure. Weights stay in 32.
# - The self-ensemble gains exactly the disagreement of its eight views, at eight times the price.
#
# ## Further reading
#
# - Lim, Son, Kim, Nah and Lee, [Enhanced deep residual networks for single image super-resolution](https://arxiv.org/abs/1707.02921), 2017:
#   EDSR, and the five scores of the bar chart.
# - Ledig and others, [Photo-realistic single image super-resolution using a generative adversarial network](https://arxiv.org/abs/1609.04802),
#   2017: SRResNet.
# - He and others, [Deep residual learning for image recognition](https://arxiv.org/abs/1512.03385), 2015: the residual block.
# - Ioffe and Szegedy, [Batch normalization](https://arxiv.org/abs/1502.03167), 2015.
# - Szegedy and others, [Inception-v4, Inception-ResNet and the impact of residual connections on learning](https://arxiv.org/abs/1602.07261),
#   2016: where residual scaling comes from.
# - Timofte, Rothe and Van Gool, [Seven ways to improve example-based single image super resolution](https://arxiv.org/abs/1511.02228), 2016:
#   the self-ensemble among them.
# - Loshchilov and Hutter, [SGDR: stochastic gradient descent with warm restarts](https://arxiv.org/abs/1608.03983), 2017: the cosine.
# - Micikevicius and others, [Mixed precision training](https://arxiv.org/abs/1710.03740), 2018.
