# %% [markdown]
# # 10. GANs: a network that judges
#
# The game of two networks by hand, the training step in three rising versions, SRGAN, ESRGAN and a U-Net with a critic, two loss scales, and what a collapse looks like.
#
# **You will be able to**
#
# - write both losses of the game, and say what a guessing judge scores;
# - write a `train_step` for two networks, and find each part of it in the package's `GAN`;
# - weigh pixels, features and the judge's verdict against each other;
# - look at a picture of a GAN and say what was invented;
# - say why two networks in float16 need two loss scales, and notice a collapse.
#
# **You need** lesson 5 (pixel shuffle, training on patches), lesson 6 (the U-Net) and lesson 7 (content loss, what VGG19 sees).
#
# **Time:** 2 minutes of computing on two CPU cores (measured), 2 minutes on a GPU in Colab (an estimate); reading and exercises take longer.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/10_gans.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/10_gans.py) · Previous: [9. Designs: progressive and iterative, and what a block sees](09_designs.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/09_designs.ipynb)) · Next: [11. A VAE: many answers to one question](11_vae.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/11_vae.ipynb)) · [All lessons](README.md)

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
    minutes=(0.7, 2, 2),
    toy=(300, 1500, 1500),
    drawn=(30, 1500, 2500),
    steps=(2, 12, 100),
    critic=(2, 80, 200),
    seeds=(1, 3, 3),
    lr_size=(8, 16, 16),
)

# %% [markdown]
# ## A game of two numbers
#
# A *generator* makes things from noise, a *discriminator* says which things are real. Each learns from the other. We call them maker
# and judge, and begin with single numbers.

# %%
import functools
import warnings

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers, ops

from sr_keras.training.adversarial import GAN, RelativisticGAN, interpolate_weights

entropy = keras.losses.BinaryCrossentropy(from_logits=True)

# %% [markdown]
# The judge returns a *logit*: positive for "real". The sigmoid makes of it the probability `D`, from 0 to 1. The judge's loss wants 1 for real things and 0 for
# made ones; the maker's wants 1 for what it made. Cross-entropy is `-log D` where 1 is wanted, `-log(1 - D)` where 0 is. They are opponents over one number.


# %%
def judge_loss(on_real, on_made):
    real = entropy(ops.ones_like(on_real), on_real)
    return real + entropy(ops.zeros_like(on_made), on_made)


def maker_loss(on_made):
    return entropy(ops.ones_like(on_made), on_made)


# %% [markdown]
# Each turn has two tapes. Each tape trains one network, and the other is held still. The noise goes through the maker once, and both
# losses use the result.


# %%
def game(maker, judge, rate):
    """Returns a function that plays one turn."""
    players = [
        (network, keras.optimizers.Adam(rate, 0.5)) for network in (maker, judge)
    ]
    for network, adam in players:
        adam.build(network.trainable_variables)

    @tf.function
    def turn(real, noise):
        with tf.GradientTape() as maker_tape, tf.GradientTape() as judge_tape:
            made = maker(noise, training=True)
            on_real, on_made = judge(real, training=True), judge(made, training=True)
            losses = maker_loss(on_made), judge_loss(on_real, on_made)
        tapes = maker_tape, judge_tape
        for (network, adam), tape, loss in zip(players, tapes, losses, strict=True):
            weights = network.trainable_variables
            adam.apply(tape.gradient(loss, weights), weights)
        return losses

    return turn


# %% [markdown]
# Real numbers lie around 2, noise around 0. **Predict:** a judge who only guesses says 0.5 to everything. What is its loss? And will
# the losses fall, as in the lessons before?

# %%
keras.utils.set_random_seed(0)
maker, judge = (
    keras.Sequential([keras.Input((1,)), layers.Dense(16, "relu"), layers.Dense(1)])
    for _ in range(2)
)
turn = game(maker, judge, 5e-3)
rng = np.random.default_rng(0)
many = rng.normal(size=(2000, 1)).astype("float32")
before = maker(many).numpy()
curves = []
for _ in range(here.toy):
    real = rng.normal(2, 0.3, (64, 1)).astype("float32")
    noise = rng.normal(size=(64, 1)).astype("float32")
    curves.append([float(loss) for loss in turn(real, noise)])
after = maker(many).numpy()

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
axes[0].plot(np.array(curves), label=("maker's loss", "judge's loss"))
axes[0].axhline(2 * np.log(2), color="0.4", linestyle="--", label="2 log 2: guessing")
axes[0].set(xlabel="turn", ylabel="loss")
axes[0].legend(frameon=False, fontsize=8)
bins = np.linspace(-2, 4, 60)
real = rng.normal(2, 0.3, 2000)
for name, values in (("real", real), ("before", before), ("after", after)):
    axes[1].hist(np.ravel(values), bins, alpha=0.6, label=name)
axes[1].set(xlabel="number", ylabel="how many of 2000")
axes[1].legend(frameon=False, fontsize=8)
plt.show()
for name, values in (("real", real), ("before", before), ("after", after)):
    print(f"{name:7} mean {values.mean():5.2f}, spread {values.std():.2f}")

# %% [markdown]
# What was made moved to the real numbers, although nobody told the maker where they are. The mean is about right; the form of the hill is
# not, see the spread. Even so the judge ends at guessing, 2 log 2 = 1.39, and the maker at
# log 2 = 0.69. The losses tell little of this: a good move of one player is a loss of the other, and no loss has to fall.
#
# ## The same game with pictures
#
# DCGAN (Radford and others, 2015) takes convolutions for both. Ours is tiny: 16 x 16 pixels, and what is real is a bright disc anywhere
# on black. You judge it at a glance.


# %%
def discs(count):
    place = rng.uniform(4, 12, (2, count, 1, 1))
    y, x = np.mgrid[:16, :16] + 0.5
    distance = np.hypot(y - place[0], x - place[1])
    return np.clip(3.5 - distance, 0, 1)[..., None].astype("float32")


def dcgan():
    up = functools.partial(layers.Conv2DTranspose, strides=2, padding="same")
    down = functools.partial(layers.Conv2D, strides=2, padding="same")
    maker = [layers.Dense(512, "relu"), layers.Reshape((4, 4, 32))]
    maker += [up(32, 4, activation="relu"), up(1, 4, activation="sigmoid")]
    judge = [down(16, 4), layers.LeakyReLU(0.2), down(32, 4), layers.LeakyReLU(0.2)]
    judge += [layers.Flatten(), layers.Dense(1)]
    return (
        keras.Sequential([keras.Input((8,)), *maker]),
        keras.Sequential([keras.Input((16, 16, 1)), *judge]),
    )


# %% [markdown]
# The turn is the one above, unchanged. **Predict:** what do the first pictures look like, and do they get better from
# turn to turn?

# %%
keras.utils.set_random_seed(0)
maker, judge = dcgan()
turn = game(maker, judge, 2e-3)
same_noise = rng.normal(size=(10, 8)).astype("float32")
rows = {"real": discs(10)}
for i in range(here.drawn + 1):
    if i in (0, here.drawn // 10, here.drawn // 3, here.drawn):
        rows[f"turn {i}"] = maker(same_noise).numpy()
    turn(discs(64), rng.normal(size=(64, 8)).astype("float32"))

# %%
fig, axes = plt.subplots(len(rows), 1, figsize=(7.5, 4.4), layout="constrained")
for ax, (name, images) in zip(axes, rows.items(), strict=True):
    strip = np.pad(images[..., 0], ((0, 0), (1, 1), (1, 1)), constant_values=0.5)
    ax.imshow(np.concatenate(strip, axis=1), cmap="gray", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
    ax.set_ylabel(name, rotation=0, ha="right", va="center")
plt.show()

# %% [markdown]
# Below the real ones, each column has the same noise in all rows. In our run the maker soon makes black, whatever the noise: most pixels of a disc's picture
# are black. Much later come bright spots, at different places. No made picture was ever compared with a real one, pixel by pixel.
#
# That is the difference to all losses before. Super-resolution needs both: the LR image says *what*, the judge says *how photos
# look*.
#
# ## The training step, three times
#
# Now photos, x4. The maker is not new: it is a small EDSR that was trained on the L1 error. SRGAN (Ledig and others, 2017) starts so
# too, from the squared error: a bad maker is told from photos at a glance, and its judge need not learn to look at texture.

# %%
scale, size = 4, 4 * here.lr_size
load = functools.cache(sr.models.load)
photos = sr.datasets.samples(scale)
batches = sr.pipeline.training_batches(photos, lr_size=here.lr_size, batch_size=4)
lr_batch, hr_batch = next(iter(batches))
print("photos:", ", ".join(photos.names))
print("patches:", lr_batch.shape, "->", hr_batch.shape)


def pretrained():
    return sr.models.load("edsr-x4-bsds-small")


# %% [markdown]
# **Version 1** has one network and one loss, the pixels' L1. It is what `compile` and `fit` do anyway; here we write the step ourselves,
# so that there is a place for what comes.


# %%
class Pixels(keras.Model):
    def __init__(self, generator):
        super().__init__()
        self.generator = generator

    def call(self, lr, training=None):
        return self.generator(lr, training=training)

    def generator_loss(self, hr, made):
        return ops.mean(ops.abs(hr - made))

    def train_step(self, data):
        lr, hr, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            loss = self.generator_loss(hr, self.generator(lr, training=True))
        weights = self.generator.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        return {"loss": loss}


# %% [markdown]
# First use it, before it grows. A step by hand must agree with Keras's own L1:

# %%
first = Pixels(pretrained())
first.compile(keras.optimizers.Adam(1e-4), run_eagerly=here.fast)
expected = keras.losses.MeanAbsoluteError()(hr_batch, first(lr_batch))
logs = first.train_on_batch(lr_batch, hr_batch, return_dict=True)
np.testing.assert_allclose(logs["loss"], expected, rtol=1e-4)
print("L1:", round(float(expected), 4))

# %% [markdown]
# **Version 2** adds the judge: a second network, optimizer and tape. The maker's loss gets `-log D(made)` with a small weight. `D` is the
# probability that the judge gives to "photo".


# %%
class WithJudge(Pixels):
    def __init__(self, generator, discriminator, weight=5e-3):
        super().__init__(generator)
        self.discriminator, self.weight = discriminator, weight

    def compile(self, optimizer, judge_optimizer, **kwargs):
        super().compile(optimizer, **kwargs)
        self.judge_optimizer = judge_optimizer

    def generator_loss(self, hr, made):
        verdict = self.discriminator(made, training=True)
        return super().generator_loss(hr, made) + self.weight * maker_loss(verdict)

    def train_step(self, data):
        lr, hr, _ = keras.utils.unpack_x_y_sample_weight(data)
        made = self.generator(lr, training=True)
        with tf.GradientTape() as tape:
            on_real = self.discriminator(hr, training=True)
            loss = judge_loss(on_real, self.discriminator(made, training=True))
        logs = super().train_step(data)  # against the judge as it was
        weights = self.discriminator.trainable_variables
        self.judge_optimizer.apply(tape.gradient(loss, weights), weights)
        return {**logs, "judge": loss}


# %% [markdown]
# The maker's step is inherited: only its loss has changed. The judge is SRGAN's, with fewer filters: strided convolutions and one
# verdict for a patch.

# %%
keras.utils.set_random_seed(0)
discriminator = sr.models.srgan_discriminator(size=size, filters=8)
second = WithJudge(pretrained(), discriminator)
optimizers = [keras.optimizers.Adam(1e-4) for _ in range(2)]
second.compile(*optimizers, run_eagerly=here.fast)
logs = second.train_on_batch(lr_batch, hr_batch, return_dict=True)
print({name: round(float(value), 4) for name, value in logs.items()})
print("guessing:", round(2 * np.log(2), 4))

# %% [markdown]
# A new judge scores near guessing, or worse: random weights have opinions too.
#
# **Version 3** adds content: VGG19's features of both images are compared (`VGG54`: the fourth convolution before the fifth pooling). Features
# ask for the right structure somewhere near, not for the right value in each pixel.

# %%
try:
    sr.features.FeatureExtractor(["VGG54"]).build()
    vgg = "imagenet"
    print("VGG19 with its ImageNet weights")
except (OSError, ValueError) as error:
    vgg = None
    print(f"VGG19 with RANDOM weights, for the mechanics alone: {error}")
content = sr.losses.Content("VGG54", vgg_weights=vgg)


class WithContent(WithJudge):
    def generator_loss(self, hr, made):
        return super().generator_loss(hr, made) + 1e-2 * content(hr, made)


# %% [markdown]
# One method. The package's `GAN` is built in the same way, and its loss should be ours, if it gets the same two terms besides the judge.

# %%
third = WithContent(pretrained(), discriminator)
gan = GAN(third.generator, discriminator)
gan.compile(
    keras.optimizers.Adam(1e-4),
    keras.optimizers.Adam(1e-4),
    terms=[(1.0, "l1"), (1e-2, content)],
    adversarial_weight=5e-3,
    run_eagerly=here.fast,
)
made = third.generator(lr_batch)
ours = third.generator_loss(hr_batch, made)
theirs = gan.generator_loss(lr_batch, hr_batch, made)
np.testing.assert_allclose(ours, theirs, rtol=1e-3)
print("ours", round(float(ours), 4), "package", round(float(theirs), 4))

# %% [markdown]
# From here we use the package's. It adds what a long training needs: turns, loss scales, warnings, saving. It logs each term without its
# weight, as a mean over the epoch:

# %%
logs = gan.fit(batches, steps_per_epoch=here.steps, verbose=0).history
print("steps:", here.steps)
for name, values in logs.items():
    print(f"{name:20}{values[-1]:.4f}")

# %% [markdown]
# So few steps prove nothing but that the parts fit together. What long training gives comes below, from networks that are shipped.
#
# ### Who pulls how hard?
#
# Weights cannot be read without the size of the terms. `GAN_TERMS` are those of the shipped GANs for x4: L1, and three depths of VGG19.
# **Predict:** which term is the largest after weighting?

# %%
(l1_weight, _), (_, perceptual) = sr.training.recipes.GAN_TERMS
made = load("edsr-x4-bsds-small")(lr_batch)
parts = {"l1": l1_weight * ops.mean(ops.abs(hr_batch - made))}
for layer, weight in perceptual.get_config()["content"].items():
    loss = sr.losses.Content(layer, vgg_weights=vgg)
    parts[layer] = weight * loss(hr_batch, made)
parts["judge who guesses"] = 5e-3 * np.log(2)

fig, ax = plt.subplots(figsize=(7.5, 2.3), layout="constrained")
bars = ax.barh(list(parts), [float(part) for part in parts.values()], color="#0072B2")
ax.bar_label(bars, fmt="%.4f", padding=3)
ax.margins(x=0.12)
ax.set(xlabel="weight x loss, four patches of photos", yticks=range(len(parts)))
ax.invert_yaxis()
plt.show()

# %% [markdown]
# With VGG19's weights its layers are the largest terms, and a judge who guesses the smallest; that part grows as the judge gets
# better. The L1 term is there to hold the colours. SRGAN's paper has no such term, and trains for far longer.
#
# A bar is a value, not a gradient: a small term can still pull in a direction that no other term opposes.
#
# ### Another game is another method
#
# Least squares (LSGAN; Mao and others, 2016) asks for the number 1 instead of a probability. Two methods are overridden:


# %%
class LeastSquares(GAN):
    def adversarial_loss(self, lr, hr, sr):
        return sum(ops.mean((made - 1) ** 2) for made in self.judge(sr, lr))

    def discriminator_loss(self, real, fake):
        return ops.mean((real - 1) ** 2) + ops.mean(fake**2)


squares = LeastSquares(pretrained(), discriminator)
squares.compile("adam", "adam", terms=[(1.0, "l1")], run_eagerly=here.fast)
print(squares.train_on_batch(lr_batch, hr_batch, return_dict=True).keys())

# %% [markdown]
# ## What training gives: SRGAN
#
# The shipped `edsr-x4-bsds-srgan` began as `edsr-x4-bsds-small`, the network that we used. **Predict:** which of the two has the higher
# PSNR? Which looks sharper?

# %%
validation = sr.datasets.samples(scale, split="validation")
lr, hr = validation[0]


def enlarge(names):
    return {
        title: sr.upscale(load(name), lr, tile=None) for title, name in names.items()
    }


def score(images, hr, border):
    scores = {
        name: sr.evaluation.score(hr, image, border) for name, image in images.items()
    }
    return {name: (each["psnr_y"], each["ssim_y"]) for name, each in scores.items()}


pictures = {"bicubic": sr.upscale(sr.models.bicubic(scale), lr, tile=None)}
pictures |= enlarge({"L1": "edsr-x4-bsds-small", "SRGAN": "edsr-x4-bsds-srgan"})
scores = score(pictures, hr, scale)

# %%
window = (70, 110, 100, 130)  # in HR pixels
title = "x4; PSNR / SSIM on luma, 4 pixels cut"
sr.plotting.comparison({**pictures, "HR": hr}, scores, window, title=title)

# %%
crop = {name: pictures[name] for name in ("L1", "SRGAN")}
sr.plotting.slider(crop, crop=window, zoom=4)

# %% [markdown]
# The L1 network has the higher PSNR, as it was trained for it. Where many fine details fit LR, the mean of them has the smallest error, and it
# is smooth. A judge punishes smoothness.
#
# Look closely at SRGAN's eye and fur: there is a fine, regular weave that HR does not have. It is an artefact of a small network after a
# thousand steps. A better judge would have to punish this too.

# %%
assert scores["L1"][0] > scores["SRGAN"][0] > scores["bicubic"][0] - 1
photo = sr.images.luma(sr.images.to_float(hr))
print(
    "mean step between neighbours, HR:",
    round(float(abs(np.diff(photo, axis=1)).mean()), 4),
)
for name, image in pictures.items():
    y = sr.images.luma(sr.images.to_float(image))
    print(f"{name:8}{float(abs(np.diff(y, axis=1)).mean()):.4f}")

# %% [markdown]
# This number is no quality: noise would raise it too. It says only how lively each picture is. Whether the liveliness is *right*, only a
# comparison with HR can say.
#
# In the paper, with a large network and a long training, people took the judged one's side: on BSD100 they gave SRGAN 3.56 of 5 points, and SRResNet, the same
# network trained on the squared error alone, 2.29, although SRResNet has the higher PSNR, 27.58 against 25.16 dB.
#
# ### A dial between both
#
# Two networks of one architecture, one grown from the other, can be blended weight by weight, as in lesson 7; the idea is ESRGAN's. No training is
# needed, and the reader may choose how much is invented. **Predict:** what does half of the way cost in PSNR?

# %%
blends = {}
for amount in (0, 0.5, 1):
    blend = interpolate_weights(
        load("edsr-x4-bsds-small"), load("edsr-x4-bsds-srgan"), amount
    )
    blends[f"{amount:.0%} SRGAN"] = sr.upscale(blend, lr, tile=None)
scores = score(blends, hr, scale)
sr.plotting.comparison(
    {**blends, "HR": hr}, scores, (90, 130, 60, 80), title=title, whole=False, columns=4
)

# %% [markdown]
# Less than half, in our run, and the weave is fainter.
#
# ## ESRGAN: more real than what?
#
# ESRGAN (Wang and others, 2018) asks the judge another question: is this photo *more real than the made ones*? From each logit the mean
# of the other kind is subtracted.

# %%
on_real = np.array([[3.0], [2.0]], "float32")
on_made = np.array([[1.0], [-1.0]], "float32")


def relative_loss(on_real, on_made):
    return judge_loss(on_real - on_made.mean(), on_made - on_real.mean())


relativistic = RelativisticGAN(pretrained(), discriminator)
package = relativistic.discriminator_loss(on_real, on_made)
np.testing.assert_allclose(relative_loss(on_real, on_made), package, rtol=1e-5)

# %% [markdown]
# **Predict:** the judge becomes kinder and adds 5 to every logit, of photos and of made images. Which of the two losses changes?

# %%
for shift in (0, 5):
    plain = float(judge_loss(on_real + shift, on_made + shift))
    relative = float(relative_loss(on_real + shift, on_made + shift))
    print(f"logits + {shift}: standard {plain:.3f}, relativistic {relative:.3f}")

# %% [markdown]
# The relativistic loss knows differences alone. The maker's has two terms now: its images against the mean photo, and photos against its mean
# image. Both reach it through the logits of its own images, so photos take part in its training.
#
# The shipped `rrdb-x4-bsds-esrgan` was trained so, from `rrdb-x4-bsds-small`, for only a few hundred steps. The photo is the second of
# validation.

# %%
lr, hr = validation[1]
lr, hr = lr[25:85, 70:150], hr[100:340, 280:600]  # a part of it
window = (75, 105, 48, 72)
pictures = enlarge({"L1": "rrdb-x4-bsds-small", "ESRGAN": "rrdb-x4-bsds-esrgan"})
scores = score(pictures, hr, scale)
sr.plotting.comparison(
    {**pictures, "HR": hr}, scores, window, title=title, whole=False, columns=3
)

# %% [markdown]
# The two differ little after so few steps, in the scores too, and the name on the tank can be read in neither. A judge has never read; it
# asks whether a patch resembles photos. Never use a GAN where details are evidence.
#
# ## A U-Net with a critic
#
# Restoration needs no enlarging: `crappify` blurs, adds noise and JPEG's blocks, and a U-Net cleans up. Its judge, often called a *critic*, may give one verdict for a whole
# patch, for many small patches, or for each pixel:

# %%
patch = np.zeros((1, 64, 64, 3), "float32")
critics = {
    "SRGAN's": sr.models.srgan_discriminator(64, filters=8),
    "PatchGAN": sr.models.patchgan(filters=8),
    "a U-Net": sr.models.unet_discriminator(filters=8),
}
for name, critic in critics.items():
    print(f"{name:10}{critic(patch).shape[1:]} verdicts on 64 x 64 pixels")

# %% [markdown]
# `unet-x1-bsds-small` was trained on pixels alone; `patchgan` and `critic` went on for a few hundred steps, with L1, features, and the judge that
# gave the name (`critic`: the U-Net).

# %%
lr, hr = sr.datasets.samples(1, split="validation", degradation="crappify")[0]
sets = {"pixels": "small", "PatchGAN": "patchgan", "U-Net critic": "critic"}
restored = {"damaged": lr} | enlarge(
    {title: f"unet-x1-bsds-{name}" for title, name in sets.items()}
)
window = (70, 110, 100, 130)
sr.plotting.comparison(
    {**restored, "original": hr},
    score(restored, hr, 4),
    window,
    columns=3,
    title="x1, crappified; PSNR / SSIM on luma, 4 pixels cut",
)

# %% [markdown]
# The damage is mild, and on this photo the pixels' U-Net gains little in PSNR. Both judged networks lose some, to below the damaged
# photo, while SSIM stays a little above it. Edges are harder, at the rim of the eye harder than in the original.
#
# So a sharper look is not a better restoration. What is gone in the damaged photo comes back only as a guess.
#
# ### Train the critic first
#
# The maker is good already, a new critic knows nothing. So it learns alone until it beats guessing: `generator_waits_above=1.3` lets
# the maker wait as long as the critic's loss is above 1.3. We take a smaller PatchGAN, and the damage of lesson 7, which leaves the critic more to find.
# **Predict:** for how many of the steps will the maker wait?

# %%
d = sr.degradations
damage = d.Compose([d.GaussianBlur(1.2), d.GaussianNoise(0.03), d.JPEG(60)])
damaged = sr.datasets.samples(1, degradation=damage)
pairs = sr.pipeline.training_batches(damaged, lr_size=64, batch_size=4)
keras.utils.set_random_seed(0)
critic = sr.models.patchgan(filters=8, num_layers=2)
unet = load("unet-x1-bsds-small")
start = unet.get_weights()
cleaner = GAN(unet, critic)
cleaner.compile(
    keras.optimizers.Adam(2e-4),
    keras.optimizers.Adam(1e-3),
    terms=[(1.0, "l1")],
    adversarial_weight=1e-2,
    generator_waits_above=1.3,
    run_eagerly=here.fast,
)


# %%
class Diary(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.losses, self.moved = [], []
        self.before = self.weights()

    def weights(self):
        weights = self.model.generator.trainable_variables
        return np.concatenate([np.ravel(weight) for weight in weights])

    def on_train_batch_end(self, batch, logs=None):
        now, before = self.weights(), self.before
        self.moved.append(bool((now != before).any()))
        self.before = now
        # the log is a mean over the epoch so far; each step is its difference
        mean = float(logs["discriminator_loss"])
        self.losses.append(mean * (batch + 1) - sum(self.losses))


diary = Diary()
cleaner.fit(pairs, steps_per_epoch=here.critic, callbacks=[diary], verbose=0)

# %%
fig, ax = plt.subplots(figsize=(7.5, 2.6), layout="constrained")
losses = np.array(diary.losses)
steps = np.arange(len(losses))
played = np.array(diary.moved)
ax.plot(steps, losses, color="0.7")
ax.plot(steps[~played], losses[~played], "o", color="#0072B2", label="maker waits")
ax.plot(steps[played], losses[played], "o", color="#D55E00", label="both train")
ax.axhline(2 * np.log(2), color="0.4", linestyle="--", label="guessing")
ax.axhline(1.3, color="0.4", linestyle=":", label="1.3: the maker's limit")
ax.set(xlabel="step", ylabel="critic's loss")
ax.legend(frameon=False, fontsize=8)
plt.show()
print("steps in which the maker trained:", int(played.sum()), "of", len(played))
unet.set_weights(start)

# %% [markdown]
# A blue dot is a step in which the U-Net's weights did not move, an orange one a step in which both trained. In our run the critic guesses for
# more than a third of the time, then slowly finds a difference. Past the middle the maker gets its first turns; where the loss jumps back above the limit,
# it waits again. Only near the end do both train in every step.
#
# That is what the rule is for: the verdict of a critic who guesses teaches nothing. Without the rule, the U-Net would follow it all the same. Try the
# milder `crappify`, or `num_layers=3`: does the critic get there as fast?
#
# ## Two optimizers, two scales
#
# GPUs are faster in float16, whose smallest positive number is about 6e-8. **Predict:** a loss has a gradient of about 1e-9. What arrives
# if a layer in float16 lies on its way?

# %%
weight = tf.Variable(1.0)


def gradient(scale):
    with tf.GradientTape() as tape:
        half = tf.cast(weight, "float16") * tf.constant(1e-4, "float16")
        loss = 1e-5 * tf.cast(half, "float32") * scale
    return float(tape.gradient(loss, weight)) / scale


print("without a scale:", gradient(1.0))
print(f"with 2**15:      {gradient(2.0**15):.2e}")
assert gradient(1.0) == 0 and gradient(2.0**15) > 0

# %% [markdown]
# The first is lost without an error. `LossScaleOptimizer` multiplies the loss, divides the gradients again, and halves its scale whenever a
# gradient overflows. One overflow, in the judge's gradient:

# %%
scalers = {}
for name, value in (("maker", 1.0), ("judge", np.inf)):
    variable = keras.Variable(0.0)
    scaler = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    scaler.build([variable])
    scaler.apply([tf.constant(value)], [variable])
    scalers[name] = float(scaler.dynamic_scale)
print(scalers)
assert scalers["judge"] == scalers["maker"] / 2

# %% [markdown]
# The maker's scale stays: two losses have two ranges. Keras wraps only the optimizer of its own `compile`; with a second optimizer this is
# easily forgotten, and nothing is raised. The package wraps both:

# %%
keras.config.set_dtype_policy("mixed_float16")
half = GAN(sr.models.edsr(4, filters=4, num_blocks=1), sr.models.patchgan(filters=4))
keras.config.set_dtype_policy("float32")
half.compile("adam", "adam", terms=[(1.0, "l1")])
for optimizer, network in half.optimizers():
    print(f"{network.name:10}{type(optimizer).__name__}")

# %% [markdown]
# On a CPU float16 is no gain, so we do not train it here. bfloat16 has the range of float32 and needs no scale.
#
# ## Collapse
#
# We provoke one: a maker with random weights that hardly learns, and a judge that learns fast. The package counts the steps in a row with a
# judge's loss near 0. Its limit is 500 steps; here a few must do.

# %%
keras.utils.set_random_seed(0)
hopeless = GAN(
    sr.models.edsr(4, filters=4, num_blocks=1),
    sr.models.patchgan(filters=8, num_layers=2),
)
hopeless.COLLAPSED_STEPS, hopeless.COLLAPSED_LOSS = 5, 0.3
hopeless.compile(
    keras.optimizers.Adam(1e-6),
    keras.optimizers.Adam(1e-2),
    terms=[(1.0, "l1")],
)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    logs = hopeless.fit(batches, steps_per_epoch=20, epochs=5, verbose=0).history
print("judge's loss, each 20 steps:", np.round(logs["discriminator_loss"], 3))
for warning in caught:
    if "Collapse" in str(warning.message):
        print(warning.message)

# %% [markdown]
# What helps is in the warning. The judge above became right and sure of it, in a few dozen steps; the maker stood still.
#
# There is a second kind, *mode collapse*: the maker finds one thing that passes, and makes only that. No loss shows it; look at many
# samples (exercise 4). Papers that say "collapse" mostly mean this one, and call the first *vanishing gradients*.
#
# ## Exercises
#
# Each has a solution below it, folded. Try first.
#
# **Exercise 1.** The judge gives a made image the probability 0.1 of being a photo. What is the maker's adversarial loss?

# %%
answer = None  # a number

logit = np.array([[np.log(0.1 / 0.9)]], "float32")  # the sigmoid makes 0.1 of it
sr.course.check(answer, maker_loss(logit), tolerance=0.01)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 1
# -log D: much more than the log 2 = 0.69 of a judge who guesses
answer = -np.log(0.1)
print(round(answer, 2))
sr.course.check(answer, maker_loss(logit), tolerance=0.01)

# %% [markdown]
# **Exercise 2.** In `LeastSquares`, a judge answers 0.5 to everything. What is its loss, and what does the maker's adversarial loss give? Answer
# with a list of both.

# %%
answer = None  # [the judge's loss, the maker's adversarial loss]

guesses = np.full((4, 1), 0.5, "float32")
fooled = np.mean((guesses - 1) ** 2)
expected = [squares.discriminator_loss(guesses, guesses), fooled]
sr.course.check(answer, expected, tolerance=0.01)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 2
answer = [(0.5 - 1) ** 2 + 0.5**2, (0.5 - 1) ** 2]
print(answer)
sr.course.check(answer, expected, tolerance=0.01)

# %% [markdown]
# **Exercise 3.** The first GAN paper writes the game with another loss of the maker: `log(1 - D)`, to be made small. For a logit of -6 (the judge
# is sure, and right) compute the gradient of both losses with a tape. Which one still teaches?

# %%
answer = None  # [gradient of -log D, gradient of log(1 - D)]

expected = [-1 / (1 + np.exp(-6)), -1 / (1 + np.exp(6))]
sr.course.check(answer, expected, tolerance=0.001)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 3
logit = tf.Variable(-6.0)
with tf.GradientTape(persistent=True) as tape:
    probability = tf.sigmoid(logit)
    passing = -tf.math.log(probability)
    saturating = tf.math.log(1 - probability)
answer = [float(tape.gradient(loss, logit)) for loss in (passing, saturating)]
print("-log D: {:.4f}, log(1 - D): {:.4f}".format(*answer))
sr.course.check(answer, expected, tolerance=0.001)

# %% [markdown]
# With `-log D` the logit is still pushed. (How far the pixels feel it is up to the judge's own gradient.)
#
# **Exercise 4.** Play the game of numbers with two peaks: real numbers lie near -2 or near 2, half and half. Draw a histogram of what is made. Are both
# peaks found? Try other seeds and rates.

# %%
answer = None  # your histogram

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 4
fig, axes = plt.subplots(1, here.seeds, figsize=(9, 2.6), squeeze=False)
for seed, ax in enumerate(axes[0]):
    keras.utils.set_random_seed(seed)
    maker, judge = (
        keras.Sequential([keras.Input((1,)), layers.Dense(16, "relu"), layers.Dense(1)])
        for _ in range(2)
    )
    turn = game(maker, judge, 5e-3)
    for i in range(1, here.toy + 1):
        real = rng.choice([-2, 2], (64, 1)) + rng.normal(0, 0.3, (64, 1))
        turn(real.astype("float32"), rng.normal(size=(64, 1)).astype("float32"))
        if i in (here.toy // 5, here.toy):
            made = np.ravel(maker(many))
            ax.hist(made, np.linspace(-4, 4, 60), alpha=0.6, label=f"turn {i}")
    for peak in (-2, 2):
        ax.axvline(peak, color="0.4", linestyle="--")
    ax.set(title=f"seed {seed}", xlabel="made number")
    ax.legend(frameon=False, fontsize=7, loc="upper center")
fig.tight_layout()
plt.show()

# %% [markdown]
# Dashed: the real peaks. In our runs both are found in the end. Where one of them gets nearly nothing, the maker has collapsed to the
# other; later turns may still find it.
# Real numbers hardly ever lie in the middle.
#
# ## Summary
#
# - Two networks, two losses, two optimizers. A judge who guesses scores 2 log 2; no loss has to fall, so look at pictures.
# - SRGAN is a trained maker that gets a judge with a small weight and content of VGG19. Pixels hold the colours.
# - PSNR goes down where the picture becomes livelier. What is livelier may be invented.
# - A relativistic judge compares; a critic can speak for a patch or for each pixel, and should be better than guessing before
#   the maker follows it.
# - In float16 each optimizer needs its own loss scale. A judge's loss near 0 for long is a collapse.
#
# ## Further reading
#
# - Goodfellow and others, [Generative adversarial networks](https://arxiv.org/abs/1406.2661), 2014.
# - Radford, Metz and Chintala, [Unsupervised representation learning with deep convolutional generative adversarial
#   networks](https://arxiv.org/abs/1511.06434) (DCGAN), 2015.
# - Ledig and others, [Photo-realistic single image super-resolution using a generative adversarial
#   network](https://arxiv.org/abs/1609.04802) (SRGAN), 2017.
# - Mao and others, [Least squares generative adversarial networks](https://arxiv.org/abs/1611.04076) (LSGAN), 2016.
# - Isola and others, [Image-to-image translation with conditional adversarial networks](https://arxiv.org/abs/1611.07004) (pix2pix,
#   PatchGAN), 2017.
# - Wang and others, [ESRGAN](https://arxiv.org/abs/1809.00219), 2018; Jolicoeur-Martineau, [The relativistic
#   discriminator](https://arxiv.org/abs/1807.00734), 2018.
# - Wang and others, [Real-ESRGAN](https://arxiv.org/abs/2107.10833), 2021: the U-Net as a judge.
# - Blau and Michaeli, [The perception-distortion tradeoff](https://arxiv.org/abs/1711.06077), 2018: why PSNR and looks part ways.
