# %% [markdown]
# # 8. EDSR: remove batch normalization, then train well
#
# Residual blocks without batch normalization, residual scaling, losses, learning rates, half precision and the self-ensemble, each measured.
#
# ![The fork of a motorcycle: bicubic interpolation and EDSR](figures/08_goal.jpg)
#
# *Bicubic interpolation and EDSR at x4. You will build this network, and measure which of its choices matter.*
#
# **You will be able to**
#
# - build EDSR from its residual block, and say what it removed from SRResNet and why;
# - show what batch normalization does to contrast, and why the result for a patch can depend on the rest of its batch;
# - compute how fast the variance grows in a deep network, and stop it with one factor;
# - choose a loss, a learning-rate schedule and a precision by measuring;
# - gain quality without training by the self-ensemble, and say exactly how much it must gain.
#
# **You need** lesson 4 (the sub-pixel layer, post-upsampling) and lesson 1 (PSNR, its conditions). Lesson 6 says more about what L1 and L2 minimize.
#
# **Time:** about 60 minutes to read the core, 40 for the exercises; 6 minutes of computing on two CPU cores (measured), 4 minutes on a GPU in Colab (an estimate).
#
# **Optional** section, 5 minutes more: *half precision*. Everything else is core.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/08_edsr.ipynb) · [Student edition](student/08_edsr.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/08_edsr.py) · Previous: [7. Perceptual loss: compare features, not pixels](07_perceptual.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/07_perceptual.ipynb)) · Next: [9. Designs: progressive and iterative networks, and receptive fields](09_designs.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/09_designs.ipynb)) · [All lessons](README.md)

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
    minutes=(0.5, 6, 4),
    seeds=((0,), (0, 1, 2), (0, 1, 2)),
    steps=(3, 600, 3000),
    long=((3, 2), (1500, 8), (6000, 16)),  # steps, patches in a batch
    blocks=(1, 4, 4),
    deep=((6, 6), (16, 50), (32, 100)),  # blocks, steps
    width=(8, 32, 64),
    scored=((0,), (0, 1), (0, 1)),
    view=((77, 126, 24, 32), (62, 112, 48, 56), (62, 112, 48, 56)),
    half=((0, 0, 8, 8), (30, 60, 40, 48), (0, 50, 80, 105)),
)

# %% [markdown]
# ## The trained network
#
# New networks are still compared with EDSR (2017). Its *baseline*, the size for small budgets, is shipped with the package. It has 64 filters and 16
# blocks and was trained on fewer than 500 photos: at x2 for two minutes on a large GPU, then at x4 for an hour and a half on one processor core.

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
scored = pairs.subset(here.scored)
shipped = sr.models.load("edsr-x4-bsds")
bicubic = sr.models.bicubic(scale)
print("parameters:", shipped.count_params(), "LR", lr_file.shape, "HR", hr_file.shape)

# %% [markdown]
# Neither this photo nor the cat that follows was among the training photos. **Predict:** bicubic interpolation gives slanted bars jagged edges. Will
# the network do so too?

# %%
upscaled = {
    "bicubic": sr.upscale(bicubic, lr_file),
    "EDSR": sr.upscale(shipped, lr_file),
}


def scores_of(images, hr):
    rows = {name: score(hr, image, border=scale) for name, image in images.items()}
    return {name: (row["psnr_y"], row["ssim_y"]) for name, row in rows.items()}


fork = (312, 510, 84, 114)  # top, left, height, width
sr.plotting.comparison(
    {"LR": lr_file, **upscaled, "HR": hr_file},
    scores=scores_of(upscaled, hr_file),
    crop=fork,
    columns=2,
    title="motorcycle x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
)

# %%
sr.plotting.slider(upscaled, crop=fork, zoom=5, title="motorcycle x4: the fork")

# %% [markdown]
# The fork and the brake disc have sharper and less jagged edges. (Those of HR are slightly jagged, too.) What is lost in LR, such as bolts and the
# tread of the tyre, stays lost. How is this network built, and which parts of its training matter?
#
# ## The residual block
#
# A *residual block* adds something to its input instead of replacing it: `x + f(x)`. The idea comes from image
# recognition (ResNet). Two papers adapted it to super-resolution, each by removing parts.
#
# The part $f$ is the *branch*. EDSR's large version multiplies it by a factor $s = 0.1$ (*residual scaling*), and in the baseline, which is drawn
# below, $s = 1$:
#
# $$y = x + s\, f(x)$$
#
# SRResNet and EDSR, each with its 16 blocks:
#
# ![SRResNet](figures/08_srresnet.svg)
#
# ![EDSR](figures/08_edsr.svg)
#
# *Drawn from the networks by `sr.plotting.diagram`. A level further up means feature maps of twice the size.*

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
# BN is batch normalization, and the orange line is the *skip connection*. SRResNet dropped the ReLU after the sum. EDSR dropped BN as well, and its
# large version multiplies by 0.1. PReLU is a ReLU that learns a slope for negative values. Here is the block by hand (a gain of 1/3 is PyTorch's
# default for the initial weights, see below), with BN and the factor as options:


# %%
def conv(filters, gain=1 / 3, **options):
    initializer = keras.initializers.VarianceScaling(gain, "fan_in", "uniform")
    options = {"kernel_initializer": initializer, **options}
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
# In front of the blocks there is a convolution (the *head*), and behind them another one (the *body*). A skip connection adds the head's output to the
# body's. Then follow the sub-pixel layers of lesson 4, twice x2, and a last convolution (the *tail*). The blocks work on LR pixels only.


# %%
def network(filters=16, num_blocks=4, gain=1 / 3, **options):
    inputs = keras.Input((None, None, 3))
    head = x = conv(filters, gain)(inputs)
    for _ in range(num_blocks):
        x = block(x, filters, gain=gain, **options)
    x = normalized(conv(filters, gain)(x), options.get("norm"))
    x = layers.Add()([x, head])
    for _ in range(2):
        initializer = keras.initializers.VarianceScaling(gain, "fan_in", "uniform")
        initializer = sr.layers.ICNR(2, initializer)
        x = conv(4 * filters, kernel_initializer=initializer)(x)
        x = sr.layers.PixelShuffle(2)(x)
    return keras.Model(inputs, conv(3, gain)(x))


# %%
lr, hr = sr.images.to_float(lr_file), sr.images.to_float(hr_file)
by_hand = network()
package = sr.models.edsr(scale, filters=16, num_blocks=4)
package.set_weights(by_hand.get_weights())
np.testing.assert_allclose(by_hand(lr[None]), package(lr[None]), atol=1e-5)
print("equal to sr.models.edsr; parameters:", package.count_params())
print("the paper's baseline:", sr.models.CATALOGUE["edsr"].parameters)

# %% [markdown]
# ## What batch normalization removes
#
# During training, BN shifts and scales every channel so that its mean $\mu$ over *batch, rows and columns* becomes 0 and its variance $\sigma^2$ becomes 1. A
# learned scale $\gamma$ and a learned offset $\beta$ follow:
#
# $$\mathrm{BN}(x) = \gamma\, \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta$$
#
# With $\gamma = 1$ and $\beta = 0$, where both start, this takes two lines:


# %%
def batch_norm(x, epsilon=1e-6):
    mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    return (x - mean) / np.sqrt(variance + epsilon)


norm_layer = layers.BatchNormalization(epsilon=1e-6)
package = norm_layer(hr[None], training=True)
np.testing.assert_allclose(batch_norm(hr[None]), package, atol=1e-3)

# %% [markdown]
# Here is a photo, and the same photo faded to four tenths of its contrast. **Predict:** what do the two look like after BN?

# %%
faded = 0.3 + 0.4 * hr
after = {name: batch_norm(x[None])[0] for name, x in (("photo", hr), ("faded", faded))}
print("largest difference before:", np.abs(faded - hr).max())
print("largest difference after: ", np.abs(after["faded"] - after["photo"]).max())

fig, axes = plt.subplots(2, 2, figsize=(9, 6.4), layout="constrained")
for column, (name, x) in enumerate((("photo", hr), ("faded", faded))):
    axes[0, column].imshow(x)
    axes[1, column].imshow(np.clip(0.5 + after[name] / 6, 0, 1))  # only for display
    axes[0, column].set_title(name, fontsize=10)
    axes[1, column].set_title(f"{name}, after BN", fontsize=10)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# In training mode both give the same picture. Brightness and contrast are gone and cannot be recovered from the output of BN alone. A classifier benefits from
# this, because a faded cat is still a cat. Super-resolution has to *reproduce* brightness and contrast.
#
# Skip connections carry them around the BN layers, so SRResNet does work. But one problem remains. During training, BN uses the statistics of the
# batch. In inference mode it uses moving averages that were stored during training, and is a fixed scale and offset for each channel. **Predict:**
# will the shipped SRResNet give the same picture of a photo in both modes?

# %%
srresnet = sr.models.load("srresnet-x4-bsds-small")
cat_lr_file, cat_hr_file = pairs[0]
cat_lr = sr.images.to_float(cat_lr_file)[None]
modes = {}
for name, training in (("moving averages", False), ("its own statistics", True)):
    picture = keras.ops.convert_to_numpy(srresnet(cat_lr, training=training))[0]
    modes[name] = sr.images.to_integer(np.clip(picture, 0, 1))
    print(f"{name}: mean {picture.mean():.3f}, standard deviation {picture.std():.3f}")
cat_hr = sr.images.to_float(cat_hr_file)
print(f"HR: mean {cat_hr.mean():.3f}, standard deviation {cat_hr.std():.3f}")

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
# The same network gives two pictures of the same photo. The right one has stronger edges. Move the line with the pointer:

# %%
sr.plotting.slider(modes, crop=(40, 80, 120, 160), zoom=3, title="SRResNet x4")

# %% [markdown]
# The moving averages describe the training patches, and this photo differs from their average. With its own statistics, the contrast of the whole
# picture (0.166) equals that of HR, but the edges come out too strong, and PSNR falls by 0.55 dB. So the right overall contrast does not make a better
# picture.
#
# There is a stranger effect. In training mode, the result for a patch depends on the *other* patches of the batch. We combine the cat's eye with two different
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
        answers[f"{kind}, with {name}"] = np.clip(picture, 0, 1)
for kind in ("SRResNet", "EDSR"):
    first, second = (x for name, x in answers.items() if name.startswith(kind))
    change = 255 * np.abs(first - second).mean()
    print(f"{kind}: the eye changes by {change:.1f} grey levels (mean)")

# %%
fig, axes = plt.subplots(2, 3, figsize=(11, 5.4), layout="constrained")
for row, kind in zip(axes, ("SRResNet", "EDSR"), strict=True):
    pair = {name: x for name, x in answers.items() if name.startswith(kind)}
    first, second = pair.values()
    pair["10 times the difference"] = 0.5 + 10 * (first - second)  # grey is 0
    for ax, (name, picture) in zip(row, pair.items(), strict=True):
        ax.imshow(np.clip(picture, 0, 1))
        ax.set_title(name, fontsize=9)
        ax.set(xticks=[], yticks=[])
plt.show()
# calls with training=True have changed the moving averages, so load it again
srresnet = sr.models.load("srresnet-x4-bsds-small")

# %% [markdown]
# EDSR does not depend on the rest of the batch, and SRResNet does. During training this acts as noise on colours and edges. For a classifier such
# noise can even be useful, but here it is an error.
#
# The last line loads SRResNet again because of a common trap: every call with `training=True` also updates the moving averages.
#
# ## The same network with and without BN
#
# Now the experiment: one small EDSR, and the same with BN after each convolution of the blocks and after the body. A single run cannot tell a better
# network from a luckier one, so each is trained with three random seeds. A seed determines the initial weights of the convolutions and the batches, and
# both networks get the same. The loss is L1, the mean absolute error. Six photos are used for training (without their flat patches), and the cat and
# the motorcycle for scoring. The optimizer is SOAP (lesson 4), whose steps cost more than Adam's and gain more.
#
# **What short runs can show.** Each run has 600 steps, where the paper has 300,000. Besides bicubic interpolation, we draw a line for the best linear
# filter, found by least squares as in lesson 4 (`sr.course.linear_filter`). It has no hidden layer, so a network that is below it has not yet shown
# that it needs its own. The runs of the next sections end 0.07 to 0.3 dB below this line. They show which choice learns faster, and whether a
# training is stable. Which choice is better after a long training, they cannot show; for that, we quote the papers.


# %%
def training_batches(seed, batch_size=4):
    return sr.pipeline.training_batches(
        train_pairs, 16, batch_size, seed=seed, min_contrast=0.03
    )


schedules = keras.optimizers.schedules


class Scores(keras.callbacks.Callback):
    """Scores the network after every epoch, and keeps its picture of the motorcycle."""

    def on_train_begin(self, logs=None):
        self.curve, self.pictures = [], [sr.upscale(self.model, lr_file)]

    def on_epoch_end(self, epoch, logs=None):
        self.curve.append(sr.evaluate(self.model, scored)["mean"]["psnr_y"])
        self.pictures.append(sr.upscale(self.model, lr_file))


# %%
def restart(model, norm, seed, state):
    """Gives a network the initial weights of a seed, and its optimizer its state."""
    keras.utils.set_random_seed(seed)
    fresh = network(num_blocks=here.blocks, norm=norm)
    model.set_weights(fresh.get_weights())
    for variable, value in zip(model.optimizer.variables, state, strict=True):
        variable.assign(value)


def soap(schedule):
    return sr.optimizers.SOAP(schedule, beta_2=0.99, precondition_frequency=20)


# %%
def train(norm=False, loss="mae", schedule=None):
    """Trains with each seed; returns the last network, and PSNRs (seeds, rounds)."""
    model = network(num_blocks=here.blocks, norm=norm)
    schedule = schedule or schedules.CosineDecay(5e-3, here.steps)
    model.compile(soap(schedule), loss, run_eagerly=here.steps < 10)
    model.optimizer.build(model.trainable_variables)
    state = [np.array(variable) for variable in model.optimizer.variables]
    curves = []
    for seed in here.seeds:
        restart(model, norm, seed, state)  # faster than compiling a new network
        scores = Scores()
        model.fit(
            training_batches(seed),
            steps_per_epoch=here.steps // 3,
            epochs=3,
            callbacks=[scores],
            verbose=0,
        )
        curves.append(scores.curve)
    return model, np.array(curves)


# %%
patches = sr.pipeline.training_batches(train_pairs, 24, 8, min_contrast=0.03)
linear = sr.course.linear_filter(patches.take(60), scale)
baselines = {}
for name, model in (("bicubic", bicubic), ("linear filter", linear)):
    result = sr.evaluate(model, scored)
    baselines[name] = result["mean"]["psnr_y"]
    print(f"{name}: {baselines[name]:.2f} dB, {', '.join(scored.names)}")
print(result["conditions"])

# %% [markdown]
# **Predict:** which curves are higher, and by more or by less than the seeds of one network differ?

# %%
models, curves = {}, {}
for name, norm in (("no BN", False), ("BN", True)):
    models[name], curves[name] = train(norm)
print("parameters:", *(f"{n} {m.count_params()}" for n, m in models.items()))


# %%
def draw(names, title):
    """Draws the mean over the seeds, and each seed as a thin line."""
    fig, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
    steps = here.steps // 3 * np.arange(1, 3 + 1)
    for color, (label, name) in zip(("C0", "C1"), names.items(), strict=True):
        ax.plot(steps, curves[name].T, color=color, lw=0.7, alpha=0.6)
        ax.plot(steps, curves[name].mean(axis=0), "o-", color=color, label=label)
        last = curves[name][:, -1]
        seeds = ", ".join(f"{value:.2f}" for value in last)
        print(f"{label}: last {last.mean():.2f} dB on average (seeds: {seeds})")
    for (label, psnr), style in zip(baselines.items(), (":", "--"), strict=True):
        ax.axhline(psnr, color="0.4", linestyle=style, label=label)
    ax.set(xlabel="steps", ylabel="PSNR on luma (dB)", xlim=(0, None))
    ax.set_title(f"{title}; x4, 4 pixels cut, {' and '.join(scored.names)}", size=10)
    ax.legend(frameon=False)
    plt.show()


draw({"no BN": "no BN", "BN": "BN"}, "L1, cosine from 0.005")

# %%
with_norm = models["BN"]  # of the last seed
saved = with_norm.get_weights()
own = sr.evaluate(lambda x: with_norm(x, training=True), scored)["mean"]["psnr_y"]
with_norm.set_weights(saved)  # the calls have changed the moving averages
print(f"BN, moving averages:             {curves['BN'][-1, -1]:.2f} dB")
print(f"BN, each photo's own statistics: {own:.2f} dB")
print(f"no BN:                           {curves['no BN'][-1, -1]:.2f} dB (last seed)")

# %% [markdown]
# The networks with BN start slowly, and end 0.06 dB below the others. That is little, but the seeds differ by 0.01 dB only. With the statistics of
# each photo, the last of them scores 0.16 dB lower. These, too, differ from those of the training batches, so we cannot tell what is lost in training and
# what by the change of statistics. We tried a single learning rate, and all these networks are still just below the linear filter, so this describes only
# the beginning of training. Lim and others report a gain from removing BN in long runs, as we shall see.
#
# ## What batch normalization was good for
#
# BN keeps the activations in bounds. Without it, each block adds its branch to its input, and the variances of independent terms add up. How
# fast?
#
# Let the weights of a convolution have the variance `gain / fan_in`, where `fan_in` is the number of terms that it sums. Then it multiplies the mean
# square by `gain`, the ReLU halves that, and the second convolution multiplies it by `gain` again. For as many outputs as inputs, He's initializer has
# a gain of 2, Glorot's (Keras's default) a gain of 1, and PyTorch's default a gain of 1/3. With each block the variance of the sum grows by the factor
#
# $$1 + \text{residual\_scale}^2 \, \frac{\text{gain}^2}{2}$$


# %%
def growth(gain, residual_scale=1.0):
    return 1 + residual_scale**2 * gain**2 / 2


for name, gain in (("He", 2), ("Keras's default (Glorot)", 1), ("PyTorch's", 1 / 3)):
    print(f"{name}: {growth(gain):.3f} a block, {growth(gain) ** 32:.3g} in 32 blocks")
print(f"Glorot, residual scaling 0.1: {growth(1, 0.1) ** 32:.3g} in 32 blocks")

# %% [markdown]
# **Predict:** does a real network follow this simple formula? We send noise through 32 untrained blocks and measure.


# %%
def variances(gain, residual_scale, filters=2 * here.width):
    x = np.random.default_rng(0).normal(size=(1, 24, 24, filters)).astype("float32")
    measured = [x.var()]
    for _ in range(32):
        branch = conv(filters, gain, activation="relu")(x)
        branch = conv(filters, gain)(branch)
        x = x + residual_scale * keras.ops.convert_to_numpy(branch)
        measured.append(x.var())
    return np.array(measured)


# %%
cases = {
    "He": (2, 1),
    "Glorot": (1, 1),
    "PyTorch's, as EDSR": (1 / 3, 1),
    "Glorot, scaling 0.1": (1, 0.1),
}
fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
for name, (gain, residual_scale) in cases.items():
    measured = variances(gain, residual_scale)
    label = f"{name}: {measured[-1]:.2g} at the end"
    (line,) = ax.plot(measured, "o", ms=4, label=label)
    ax.plot(growth(gain, residual_scale) ** np.arange(33), color=line.get_color())
ax.set(yscale="log", xlabel="blocks", ylabel="variance")
ax.set_title(
    f"Untrained, {2 * here.width} filters: measured (points), formula (lines)",
    fontsize=10,
)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# It does, approximately. On this axis the points lie close to straight lines, somewhat below those of the formula, because the zeros beyond the
# border add nothing. A factor of 0.1 turns an explosion into a small increase. The initializer matters as much: EDSR's authors started from small
# weights, the default of Torch and now of PyTorch. (The formula describes the network before training only. They still needed the factor at 256
# filters, so a training can also become unstable later.)
#
# Does it matter for training? We train a deep network with a gain of 1, once as it is and once with `residual_scale=0.1`:

# %%
losses = {}
depth, num_steps = here.deep
for residual_scale in (1.0, 0.1):
    deep = network(16, depth, gain=1, residual_scale=residual_scale)
    deep.compile(keras.optimizers.Adam(1e-3), loss="mae", run_eagerly=here.steps < 10)
    curve = []
    for lr_patches, hr_patches in training_batches(0).take(num_steps):
        deep.reset_metrics()  # log the loss of each step, not the mean so far
        curve.append(float(deep.train_on_batch(lr_patches, hr_patches)))
    losses[f"scaling {residual_scale}"] = curve

# %%
fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
for name, curve in losses.items():
    ax.plot(curve, label=name)
    print(f"{name}: loss {curve[0]:.3g} at first, {np.mean(curve[-5:]):.3g} at the end")
ax.set(yscale="log", xlabel="steps", ylabel="mean absolute error")
ax.set_title(f"{depth} blocks of 16 filters, Glorot, Adam 0.001", fontsize=10)
ax.legend(frameon=False)
plt.show()
assert np.mean(losses["scaling 0.1"]) < np.mean(losses["scaling 1.0"])

# %% [markdown]
# The network without scaling starts with an error of 4.9, far above that of any picture, and first has to reduce it. The scaled one starts at 1.1, and
# ends at half the error of the other (0.076 against 0.162). BN would have bounded the activations too, since it divides by the standard deviation.
# Scaling does so without depending on the batch.
#
# ## L1 or L2?
#
# Many HR patches fit one LR patch. Suppose that a pixel near an edge is black (0) in six of ten of them and white (1) in four. A network
# must return one number. **Predict:** which one minimizes L2, and which one L1?

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
# L2 is minimized by the mean, a grey that occurs in none of the ten. L1 is minimized by the median, here the value of the majority. So L1 chooses one
# of the answers here, and L2 does not. (With many different values, the median lies in the middle too.) Yet PSNR is computed from squared errors, so L2
# should win there.
#
# EDSR's authors found that L1 "provides better convergence". We compare both from the same initial weights, with the same batches and the same schedule, again with three seeds:

# %%
_, curves["L2"] = train(loss="mse")
draw({"L1": "no BN", "L2": "L2"}, "cosine from 0.005")
for when, i in (("after a third of the steps", 0), ("at the end", -1)):
    difference = curves["no BN"][:, i] - curves["L2"][:, i]
    seed_by_seed = " ".join(f"{x:+.2f} dB" for x in difference)
    print(f"L1 minus L2 {when}, seed by seed: {seed_by_seed}")

# %% [markdown]
# With each of the three seeds, L1 is ahead after a third of the steps, by 0.3 dB and more. At the end the difference is 0.01, 0.12 and 0.03 dB. This
# agrees with the faster convergence that the authors mention. (We tried a single learning rate; L2 may prefer another.) After their hundreds of
# thousands of steps the published difference is small, too: +0.04 dB for L1 at x2, and 0.00 at x4 (SRResNet on DIV2K, a set of large photos; RGB). So
# the loss is not what makes EDSR good.
#
# ## The learning-rate schedule
#
# Large steps make fast progress, and small steps settle into a minimum. EDSR's learning rate starts at 0.0001 and is halved every 200,000 steps. Today a *cosine* schedule is common: it has no
# jumps, and reaches zero at the last step. With $\eta_0$ for the initial rate, $t$ for the step and $T$ for their number:
#
# $$\eta_t = \frac{\eta_0}{2} \Big(1 + \cos \frac{\pi t}{T}\Big)$$


# %%
def cosine(step, steps, initial=2e-3):
    return initial * (1 + np.cos(np.pi * step / steps)) / 2


def halving(step, steps, initial=2e-3):
    return initial * 0.5 ** np.floor(step / (steps / 5))


package = schedules.CosineDecay(2e-3, 100)
for step in (0, 17, 50, 100):
    np.testing.assert_allclose(cosine(step, 100), package(step), atol=1e-8)

x = np.arange(1000)
fig, ax = plt.subplots(figsize=(8, 2.4), layout="constrained")
ax.plot(x, np.full(1000, 2e-3), label="constant")
ax.plot(x, halving(x, 1000), label="halving")
ax.plot(x, cosine(x, 1000), label="cosine")
ax.set(xlabel="step (of 1,000)", ylabel="learning rate")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# We compare the constant rate with the cosine at a learning rate of 0.01, twice that of the runs above. **Predict:** will the curve of the constant
# rate lie below that of the cosine, above it, or cross it?

# %%
_, curves["cosine"] = train(schedule=schedules.CosineDecay(1e-2, here.steps))
constant = schedules.ExponentialDecay(1e-2, here.steps, decay_rate=1.0)  # none
_, curves["constant"] = train(schedule=constant)
draw({"cosine": "cosine", "constant": "constant"}, "L1, from 0.01")
for name in ("cosine", "constant"):
    jump = np.abs(np.diff(curves[name][:, -2:])).mean()
    print(f"{name}: the last evaluation changes the score by {jump:.3f} dB on average")

# %% [markdown]
# The curves cross: after a third of the steps the constant rate is ahead on average, and in the end it is 0.17 dB behind. Its seeds then lie 0.08 dB apart, those of the cosine 0.01 dB, and the last evaluation changes a score by 0.17
# instead of 0.07 dB. With a constant rate, the result depends on the seed and on where training stops, and the best run may only be a lucky one. So
# compare networks at the *end* of a decaying schedule, never at some step before it.
#
# ## Train longer, and watch it learn
#
# Now the network of this page is trained once for longer, and with larger batches. After each third we keep its picture of the motorcycle. **Predict:**
# what comes first, colours or edges? And where will a network that has passed the linear filter differ from it?

# %%
keras.utils.set_random_seed(0)
plain = network(num_blocks=here.blocks)
long_steps, batch_size = here.long
decay = schedules.CosineDecay(5e-3, long_steps)
plain.compile(soap(decay), loss="mae", run_eagerly=here.steps < 10)
scores_of_plain = Scores()
start = time.perf_counter()
plain.fit(
    training_batches(0, batch_size),
    steps_per_epoch=long_steps // 3,
    epochs=3,
    callbacks=[scores_of_plain],
    verbose=0,
)
print(f"{long_steps} steps in {time.perf_counter() - start:.0f} s;", end=" ")
print("after each third:", end=" ")
print(" ".join(f"{value:.2f}" for value in scores_of_plain.curve), "dB")
print(", ".join(f"{name} {value:.2f} dB" for name, value in baselines.items()))

# %%
snapshots = {
    f"step {i * long_steps // 3}": scores_of_plain.pictures[i] for i in (0, 1, 3)
}
snapshots["linear filter"] = sr.upscale(linear, lr_file)
snapshots["EDSR-baseline, shipped"] = upscaled["EDSR"]
sr.plotting.comparison(
    {**snapshots, "HR": hr_file},
    scores=scores_of(snapshots, hr_file),
    crop=fork,
    columns=3,
    title="motorcycle x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
    whole=False,
)

# %% [markdown]
# The untrained network gives a nearly black picture. After a third of the steps, the colours and the large edges are there, the network is 0.1 dB
# below the linear filter, and it leaves the same steps along the fork and the rim. Then it learns what the filter cannot do: at the end these edges
# are clearly smoother, and on average over both photos the network is 0.3 dB above the filter. The shipped network shows what more filters, photos
# and steps give.

# %% [markdown]
# ## Optional: half precision
#
# *Mixed precision* uses 16 bits wherever 32 bits do not improve the result. `bfloat16` keeps the range of float32, but only 8 binary digits of
# precision. **Predict:** starting at 1, we add 0.001 a hundred times. What is the result?

# %%
for dtype in ("float32", "bfloat16"):
    x = keras.ops.ones((), dtype)
    for _ in range(100):
        x = x + keras.ops.cast(0.001, dtype)
    print(f"{dtype}: {float(x):.4f}")

# %% [markdown]
# The result is still 1, because 0.001 is less than half the distance to the next number. Training changes weights by steps of this size. So mixed precision
# keeps the *weights* in float32 and only computes in 16 bits. Keras calls this a dtype policy:

# %%
keras.config.set_dtype_policy("mixed_bfloat16")
half_edsr = sr.models.edsr(scale, filters=16, num_blocks=4)
keras.config.set_dtype_policy("float32")
for name in ("block_0_conv1", "tail"):
    layer = half_edsr.get_layer(name)
    print(f"{name}: computes in {layer.compute_dtype}, stores {layer.variable_dtype}")

# %% [markdown]
# The package keeps the last convolution in float32, because in bfloat16 values between 0.5 and 1 would be 1/256 apart, as coarse as an 8-bit
# file. How much quality does the rest cost? We compute the shipped network in both precisions:

# %%
half_precision = sr.precision.with_precision(shipped, "mixed_bfloat16")
top, left, height, width = here.half
lr_part = lr[top : top + height, left : left + width]
hr_part = hr[4 * top : 4 * (top + height), 4 * left : 4 * (left + width)]
images = {}
for name, model in (("float32", shipped), ("mixed_bfloat16", half_precision)):
    picture = np.clip(model.predict_on_batch(lr_part[None]), 0, 1)
    images[name] = picture
    psnr = sr.metrics.psnr(hr_part[None], picture, luma=True, border=4)[0]
    print(f"{name}: {float(psnr):.3f} dB")
print("part of the motorcycle, x4, luma, 4 pixels cut")
largest = 255 * np.abs(images["float32"] - images["mixed_bfloat16"]).max()
print(f"largest difference: {largest:.1f} grey levels")

# %% [markdown]
# On this part of the photo it costs next to nothing. The speed depends on the processor, since one without 16-bit units has to convert back and
# forth. **Predict:** what does *your* machine gain? Then measure it:


# %%
def milliseconds(policy, repeats=3):
    """Returns the median time of a training step under a policy."""
    keras.config.set_dtype_policy(policy)
    model = sr.models.edsr(scale, filters=here.width, num_blocks=here.blocks)
    keras.config.set_dtype_policy("float32")
    model.compile("adam", loss="mae")
    low, high = next(iter(training_batches(0)))
    model.train_on_batch(low, high)  # compiles
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        model.train_on_batch(low, high)
        seconds.append(time.perf_counter() - begin)
    return 1000 * np.median(seconds)


# %%
advice = sr.precision.choose_precision()
times = {}
for policy in dict.fromkeys(("float32", "mixed_bfloat16", advice)):
    times[policy] = milliseconds(policy)
    gain = times["float32"] / times[policy]
    print(f"{policy}: {times[policy]:.0f} ms a step, {gain:.2f} times float32's speed")
print("sr.precision.choose_precision() advises", advice)

# %% [markdown]
# A number above 1 means faster than float32. Processors with 16-bit units are usually faster if the network is large enough to keep them busy, and
# those without are slower. `choose_precision` only queries the hardware, so measure if the speed matters. With `mixed_float16`, gradients can also fall
# below the smallest number, which is why Keras scales the loss (an optional section of [lesson 15](15_into_the_world.ipynb) shows it).

# %% [markdown]
# ## The self-ensemble: eight views of one photo
#
# A network trained on randomly flipped and rotated photos should not depend on orientation. Does it? We flip and rotate LR in all
# eight ways, upscale, and undo the flips and rotations.
#
# With $T_i$ for the eight flips and rotations:
#
# $$\mathrm{SR} = \tfrac{1}{8} \sum_{i=1}^{8} T_i^{-1}\big(f(T_i(\mathrm{LR}))\big)$$


# %%
def eight_views(model, lr):
    views = []
    for turns in range(4):
        for flip in (False, True):
            view = np.rot90(lr, turns)
            view = view[:, ::-1] if flip else view
            picture = model.predict_on_batch(np.ascontiguousarray(view)[None])[0]
            picture = picture[:, ::-1] if flip else picture
            views.append(np.rot90(picture, -turns))
    return np.array(views)


top, left, height, width = here.view  # in LR pixels: the fork and its surroundings
lr_view = lr[top : top + height, left : left + width]
hr_view = hr[4 * top : 4 * (top + height), 4 * left : 4 * (left + width)]
views = eight_views(shipped, lr_view)
mean = views.mean(axis=0)
small = lr_view[:20, :24]
package = sr.upscale(shipped, small, self_ensemble=True)
by_hand = np.clip(eight_views(shipped, small).mean(axis=0), 0, 1)
np.testing.assert_allclose(by_hand, package, atol=1e-4)

# %% [markdown]
# Their mean is the *self-ensemble*, which papers mark with a plus, as in EDSR+. **Predict:** is the score of the mean equal to the mean of the eight scores, to the
# best of them, or better than all?


# %%
def psnr_y(picture):
    picture = np.clip(picture, 0, 1)[None].astype("float32")
    return float(sr.metrics.psnr(hr_view[None], picture, luma=True, border=scale)[0])


single = [psnr_y(view) for view in views]
print("the eight:", " ".join(f"{value:.2f}" for value in single))
print(
    f"their mean picture: {psnr_y(mean):.2f} dB (part of the motorcycle x4, luma, 4 pixels cut)"
)
assert psnr_y(mean) > max(single)

# %% [markdown]
# It is better than each of them, which is an observation and not a rule. That its squared error is below their *average* squared error follows from
# algebra: the squared error of a mean is the mean of the squared errors minus the variance of the eight. With $y_i$ for the eight and $\bar y$ for
# their mean:
#
# $$(\bar y - \mathrm{HR})^2 = \tfrac{1}{8} \sum_i (y_i - \mathrm{HR})^2 - \tfrac{1}{8} \sum_i (y_i - \bar y)^2$$

# %%
error_of_mean = np.mean((mean - hr_view) ** 2)
mean_of_errors = np.mean((views - hr_view) ** 2)
variance = np.mean(views.var(axis=0))
np.testing.assert_allclose(error_of_mean, mean_of_errors - variance, rtol=1e-3)
print(f"{mean_of_errors:.3e} - {variance:.3e} = {error_of_mean:.3e} (RGB, this part)")

# %% [markdown]
# So the gain in squared error is exactly the variance among the eight. Where do they disagree? **Predict:** in smooth areas, at edges, or in texture?

# %%
std = 255 * views.std(axis=0).mean(axis=-1)
error = 255 * np.abs(mean - hr_view).mean(axis=-1)
fig, axes = plt.subplots(1, 3, figsize=(15, 4.4), layout="constrained")
axes[0].imshow(np.clip(mean, 0, 1))
for ax, values, limit in ((axes[1], std, 8), (axes[2], error, 60)):
    drawn = ax.imshow(values, cmap="magma", vmin=0, vmax=limit)
    fig.colorbar(drawn, ax=ax, label="grey levels")
titles = ("mean of eight", "their standard deviation", "error of the mean")
for ax, title in zip(axes, titles, strict=True):
    ax.set_title(title, fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()
correlation = np.corrcoef(std.ravel(), error.ravel())[0, 1]
print(f"correlation of the two maps: {correlation:.2f}")

# %% [markdown]
# They disagree least in smooth areas and most at edges and in fine detail. There the error is larger too, so the map shows roughly where errors are
# to be expected. A fine grid lies over it: the positions within a tile of the sub-pixel layer, which rotation exchanges. But note the scales: the
# standard deviation is far smaller than the error. The eight share most of their errors, so agreement proves nothing.
#
# The self-ensemble takes eight times the computation. It also requires that rotation leaves the degradation unchanged, which is true for bicubic LR images.
#
# ## From the baseline to the paper's table
#
# Which changes made EDSR the best network of its time? Its authors published the scores of five networks, from SRResNet to EDSR+: x2, ten photos of
# DIV2K, RGB, eight border pixels cut, 300,000 steps each. Some neighbours differ in several things. **Predict:** which step gains most?

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
# Size gains most. L1 gains 0.04 dB, the blocks without BN (and the other simplifications of the baseline) 0.11, a network with many times the weights 0.48, and the self-ensemble 0.09. But the parts depend on each other:
# without BN there is memory for a wide network (the authors report 40% less), and without the factor 0.1 its training was unstable.
#
# On Set5, five small photos that nearly all papers use, and with their protocol, all of these can be compared. The first three networks are shipped
# with the package, and the others are published:

# %%
from_paper = "published"
from_package = "shipped with sr_keras"
rows = [
    ("small SRResNet", 211_000, 30.05, from_package),
    ("small EDSR", 233_000, 30.83, from_package),
    ("our EDSR-baseline", 1_517_571, 31.74, from_package),
    ("SRCNN", 57_000, 30.48, from_paper),
    ("VDSR", 665_000, 31.35, from_paper),
    ("EDSR-baseline", 1_517_571, 32.09, from_paper),
    ("EDSR", 43_089_923, 32.46, from_paper),
    ("EDSR+", 43_089_923, 32.62, from_paper),
    ("RCAN", 15_592_355, 32.63, from_paper),
]
names = ("model", "parameters", "psnr_y", "source")
sr.plotting.quality_against_cost(
    [dict(zip(names, row, strict=True)) for row in rows],
    group="source",
    baselines={"bicubic": 28.42},
    title="Set5 x4, PSNR on luma, 4 pixels cut, LR by MATLAB's bicubic",
)

# %% [markdown]
# Our baseline has the same size as the published one, and yet a lower score. It was trained for 40,000 steps at x2 and, from there, for 8,000 at x4
# with small patches, on fewer than 500 small photos. The published one was trained for hundreds of thousands of steps of 16 patches of 48 x 48, from
# 800 large photos. More steps alone do not help: a run of 37,000 steps at x4, with 16 patches of 48 x 48 each, scored lower on 20 photos held out of
# training (28.14 dB) than the shipped network (28.37). This looks like overfitting.
#
# The small EDSR was trained with SOAP (lesson 4). Within five minutes, 2,000 steps take it past the published SRCNN. (The small SRResNet had another
# loss and smaller batches, so its distance from EDSR does not measure the effect of BN.) The training is part of the result. These are the networks
# of this lesson on its two photos:

# %%
ladder = {
    "bicubic": sr.evaluate(bicubic, scored),
    "linear filter": sr.evaluate(linear, scored),
    "16 filters, trained here": sr.evaluate(plain, scored),
    "EDSR-baseline, shipped": sr.evaluate(shipped, scored),
}
psnrs = []
for name, result in ladder.items():
    scores = result["mean"]
    psnrs.append(scores["psnr_y"])
    print(f"{name:26} {scores['psnr_y']:.2f} dB / {scores['ssim_y']:.4f}")
print(f"{', '.join(scored.names)}, x4; {result['conditions']}")
assert psnrs[0] < psnrs[1] < psnrs[3]

# %% [markdown]
# After a minute of training, the network of this page is 0.9 dB above bicubic interpolation. But two thirds of this gain need no network, because the
# linear filter has them, too. The shipped network is 0.8 dB above the filter. These numbers cannot be added to the Set5 chart, because PSNR depends on the photos.
#
# To get closer to the paper, use DIV2K's 800 photos, patches of 48 x 48 LR pixels, batches of 16 and hundreds of thousands of
# steps (for their large network the authors report eight days on GPUs of 2017). With your own photos: `python -m sr_keras train edsr --scale 4 --data FOLDER --out RUN --steps 20000`.
#
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** How many parameters does an EDSR at x4 with 128 filters and 24 blocks have? Count kernels and biases of the head, the blocks, the
# body, the two sub-pixel convolutions and the tail. Check your formula on the two networks of the paper first: the baseline with 64 filters and 16
# blocks has 1,517,571 parameters, the large network with 256 filters and 32 blocks 43,089,923.

# %%
answer = None  # an integer

sr.course.check(answer, "08.1")


# %% tags=["solution"]
# @title Solution 1
def count(filters, blocks):
    square = 9 * filters**2 + filters  # a convolution from filters to filters
    head, tail = 9 * 3 * filters + filters, 9 * filters * 3 + 3
    upsampling = 9 * filters * 4 * filters + 4 * filters
    return head + (2 * blocks + 1) * square + 2 * upsampling + tail


assert count(64, 16) == 1_517_571 and count(256, 32) == 43_089_923
assert count(16, here.blocks) == plain.count_params()
answer = count(128, 24)
sr.course.check(answer, "08.1")
print(answer)

# %% [markdown]
# **Exercise 2.** Take a gain of 1 and 32 blocks. Which residual scaling makes the variance exactly double between the input of the first block and
# the output of the last? Solve the formula of `growth`.

# %%
answer = None  # a number

sr.course.check(answer, "08.2")

# %% tags=["solution"]
# @title Solution 2
# (1 + s^2 / 2)^32 = 2, so s^2 = 2 (2^(1/32) - 1)
answer = np.sqrt(2 * (2 ** (1 / 32) - 1))
sr.course.check(answer, "08.2")
print(f"{answer:.3f}; growth over 32 blocks: {growth(1, answer) ** 32:.3f}")

# %% [markdown]
# **Exercise 3.** After training, BN costs nothing, because it can be folded into the convolution before it. The features have 32 channels. Find
# `kernel` and `bias` such that one convolution (`keras.ops.conv(x, kernel, padding="same") + bias`) equals the first convolution (which has no bias)
# *and* the BN of the shipped SRResNet. Compare it with `norm(first(x), training=False)` for a random `x`. What does this say about the harm of BN: is
# it in the finished network or in its training?

# %%
first, norm = (srresnet.get_layer(f"block_0_conv1{end}") for end in ("", "_norm"))
gamma, beta, moving_mean, moving_variance = norm.get_weights()
kernel, bias = None, None  # yours; `norm.epsilon` and `first.get_weights()` help

# %% tags=["solution"]
# @title Solution 3
factor = gamma / np.sqrt(moving_variance + norm.epsilon)
kernel = first.get_weights()[0] * factor  # one factor for each filter
bias = beta - moving_mean * factor

x = np.random.default_rng(0).normal(size=(1, 9, 9, 32)).astype("float32")
folded = keras.ops.conv(x, kernel, padding="same") + bias
np.testing.assert_allclose(folded, norm(first(x), training=False), atol=1e-4)
print("equal: the finished network is one without BN, so the harm is in training")

# %% [markdown]
# **Exercise 4.** The authors started x4 from a trained x2 network, and so did we. Go the other way: from the shipped x4 network to x2 and to x3. How
# many of the 36 convolutions of `sr.models.edsr(2)` have the same shape in it, and how many of those of `edsr(3)`? (`sr.weights.copy_matching` copies
# those that fit. Is the result better than bicubic interpolation?)

# %%
answer = None  # two numbers, for x2 and x3

sr.course.check(answer, "08.4")

# %% tags=["solution"]
# @title Solution 4
answer = []
for other in (2, 3):
    target = sr.models.edsr(other)
    answer.append(len(sr.weights.copy_matching(shipped, target)))
    low, high = sr.datasets.samples(other, split="validation")[1]
    low, high = low[:64, :64], high[: 64 * other, : 64 * other]
    for name, model in (("copied", target), ("bicubic", sr.models.bicubic(other))):
        psnr = score(high, sr.upscale(model, low), border=other)["psnr_y"]
        print(f"x{other}, {name}: {psnr:.2f} dB, without any training")
print("corner of the motorcycle, luma, as many border pixels cut as the scale")
# for x3, the sub-pixel convolution has 9 x 64 channels instead of 4 x 64
sr.course.check(answer, "08.4")

# %% [markdown] tags=["solution"]
# All 36 fit, and for x3 all but the sub-pixel convolution. The body can be transferred. At x2 the result already is a picture, because the body and the upper layers were first trained at x2. But the last layers have
# to be trained again: even at x2 the copy is below bicubic. Copied weights are only a starting point.

# %% [markdown]
# **Exercise 5.** How much of the gain of the self-ensemble do two views give? For every pair of the eight `views`, average the two and compute the
# squared error. Which fraction of the gain from one view to eight do pairs reach on average? And which fraction does a formula give? (Hint: the error
# of a view is a part that all views share plus a variance, of which the mean of $k$ independent views keeps $1/k$.)

# %%
answer = None  # a fraction between 0 and 1

sr.course.check(answer, "08.5")

# %% tags=["solution"]
# @title Solution 5
from itertools import combinations

parts, truth = views.astype("float64"), hr_view
errors = {}
for k in (1, 2, 4, 8):
    means = [parts[list(chosen)].mean(axis=0) for chosen in combinations(range(8), k)]
    errors[k] = np.mean([np.mean((x - truth) ** 2) for x in means])
for k, value in errors.items():
    print(f"{k} views: {(errors[1] - value) / (errors[1] - errors[8]):.3f} of the gain")
# the variance of a mean of k out of 8 is (8 - k) / (7 k) of that of one: 1 - 6/14 = 4/7
answer = (errors[1] - errors[2]) / (errors[1] - errors[8])
sr.course.check(answer, "08.5")

# %% [markdown]
# ## Summary
#
# - A residual block adds to its input. EDSR's consists of convolution, ReLU, convolution, without the BN of SRResNet.
# - In training mode BN removes brightness and contrast, and mixes the patches of a batch. In inference mode it is a fixed factor and bias, which can be folded into a
#   convolution.
# - In an untrained network the variance grows by `1 + (gain * residual_scale)**2 / 2` per block. Scaling by 0.1 keeps it near 1.
# - L2 is minimized by the mean, L1 by the median. L1 learns faster at the start; the published difference after long training is small.
# - Train with several random seeds, and compare the difference of two networks with the differences between seeds.
# - A decaying learning rate settles. With a constant one the last score depends on chance.
# - 16 bits help where the hardware supports them, so measure. The weights stay in 32 bits.
# - The self-ensemble gains exactly the variance among its eight views, for eight times the computation.
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
#   2016: the origin of residual scaling.
# - Timofte, Rothe and Van Gool, [Seven ways to improve example-based single image super resolution](https://arxiv.org/abs/1511.02228), 2016:
#   the self-ensemble among them.
# - Loshchilov and Hutter, [SGDR: stochastic gradient descent with warm restarts](https://arxiv.org/abs/1608.03983), 2017: the cosine schedule.
# - Micikevicius and others, [Mixed precision training](https://arxiv.org/abs/1710.03740), 2018.
