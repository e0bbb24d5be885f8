# %% [markdown]
# # 10. GANs: training against a discriminator
#
# The adversarial game written by hand, a training step in three versions of growing size, SRGAN, ESRGAN, a U-Net with a discriminator, loss scaling for two optimizers, and the two ways in which GAN training fails.
#
# ![An eye, from a network trained with L1 and from SRGAN](figures/10_goal.jpg)
#
# *The same network before and after training against a discriminator. Which details on the right are true?*
#
# **You will be able to**
#
# - write both losses of a GAN, and say what a discriminator that guesses scores;
# - write a `train_step` for two networks, and find each part of it in the package's `GAN`;
# - balance pixel, feature and adversarial losses against each other;
# - look at the output of a GAN and say what was invented;
# - explain why two networks in float16 need two loss scales, and recognize mode collapse and an overpowering discriminator.
#
# **You need** lesson 4 (pixel shuffle, training on patches), lesson 6 (the U-Net) and lesson 7 (content loss, what VGG19 sees).
#
# **Time:** about 50 minutes to read the core, 40 for the exercises; 2 minutes of computing on two CPU cores (measured), 2 minutes on a GPU in Colab (an estimate).
#
# **Optional** section, 5 minutes more: *loss scaling for two optimizers*. Everything else is core.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/10_gans.ipynb) · [Student edition](student/10_gans.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/10_gans.py) · Previous: [9. Designs: progressive and iterative networks, and receptive fields](09_designs.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/09_designs.ipynb)) · Next: [11. A VAE: many answers to one question](11_vae.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/11_vae.ipynb)) · [All lessons](README.md)

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
    discriminator=(2, 80, 200),
    seeds=(1, 3, 3),
    lr_patch_size=(8, 16, 16),
)

# %% [markdown]
# ## A GAN on single numbers
#
# A generative adversarial network consists of two networks. The *generator* turns noise into samples. The *discriminator* sees real samples and
# generated ones ("fakes") and estimates which are real. Each learns from the other. We begin with the smallest case, in which a sample is a single number.

# %%
import functools
import warnings

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers, ops
from skimage import data

from sr_keras.training.gan import GAN, RelativisticGAN

cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)

# %% [markdown]
# The discriminator returns a *logit*, which is positive for "real". The sigmoid turns it into $D$, the probability that the sample is real. The loss
# of the discriminator asks for 1 on real samples $x$ and for 0 on fakes $G(z)$. The loss of the generator asks for 1 on its fakes:
#
# $$L_D = -\log D(x) - \log(1 - D(G(z))), \qquad L_G = -\log D(G(z))$$
#
# Both are binary cross-entropies, and they pull the same probability in opposite directions.


# %%
def discriminator_loss(real_logits, fake_logits):
    real_loss = cross_entropy(ops.ones_like(real_logits), real_logits)
    fake_loss = cross_entropy(ops.zeros_like(fake_logits), fake_logits)
    return real_loss + fake_loss


def generator_loss(fake_logits):
    return cross_entropy(ops.ones_like(fake_logits), fake_logits)


# %% [markdown]
# Each step uses two gradient tapes. Each tape trains one network and leaves the other unchanged. The generator runs once, and both losses use its output.


# %%
def make_train_step(generator, discriminator, learning_rate):
    generator_optimizer = keras.optimizers.Adam(learning_rate, beta_1=0.5)
    discriminator_optimizer = keras.optimizers.Adam(learning_rate, beta_1=0.5)
    g_weights = generator.trainable_variables
    d_weights = discriminator.trainable_variables
    generator_optimizer.build(g_weights)
    discriminator_optimizer.build(d_weights)

    @tf.function
    def train_step(real, noise):
        with tf.GradientTape() as g_tape, tf.GradientTape() as d_tape:
            fake = generator(noise, training=True)
            real_logits = discriminator(real, training=True)
            fake_logits = discriminator(fake, training=True)
            g_loss = generator_loss(fake_logits)
            d_loss = discriminator_loss(real_logits, fake_logits)
        g_gradients = g_tape.gradient(g_loss, g_weights)
        d_gradients = d_tape.gradient(d_loss, d_weights)
        generator_optimizer.apply(g_gradients, g_weights)
        discriminator_optimizer.apply(d_gradients, d_weights)
        return g_loss, d_loss

    return train_step


# %% [markdown]
# The real numbers are distributed around 2, and the noise around 0. **Predict:** a discriminator that only guesses returns the probability 0.5 for every
# sample. What is its loss? And will the losses fall during training, as they did in earlier lessons?


# %%
def small_network():
    return keras.Sequential(
        [keras.Input((1,)), layers.Dense(16, "relu"), layers.Dense(1)]
    )


keras.utils.set_random_seed(0)
generator, discriminator = small_network(), small_network()
train_step = make_train_step(generator, discriminator, 5e-3)
rng = np.random.default_rng(0)
test_noise = rng.normal(size=(2000, 1)).astype("float32")
before = generator(test_noise).numpy()
curves = []
for _ in range(here.toy):
    real = rng.normal(2, 0.3, (64, 1)).astype("float32")
    noise = rng.normal(size=(64, 1)).astype("float32")
    curves.append([float(loss) for loss in train_step(real, noise)])
after = generator(test_noise).numpy()

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
axes[0].plot(np.array(curves), label=("generator loss", "discriminator loss"))
axes[0].axhline(2 * np.log(2), color="0.4", linestyle="--", label="2 log 2: guessing")
axes[0].set(xlabel="step", ylabel="loss")
axes[0].legend(frameon=False, fontsize=8)
bins = np.linspace(-2, 4, 60)
samples = {"real": rng.normal(2, 0.3, 2000), "before": before, "after": after}
for name, values in samples.items():
    axes[1].hist(np.ravel(values), bins, alpha=0.6, label=name)
axes[1].set(xlabel="number", ylabel="count (of 2000)")
axes[1].legend(frameon=False, fontsize=8)
plt.show()
for name, values in samples.items():
    print(f"{name:7} mean {values.mean():5.2f}, standard deviation {values.std():.2f}")

# %% [markdown]
# The generated numbers moved to the real ones, although the generator was never told where they are. Their mean is about right. The shape of their
# distribution is not, as the standard deviation shows. Even so, the discriminator ends at guessing, 2 log 2 = 1.39, and the generator at
# log 2 = 0.69. The losses say little about the quality of the samples: an improvement of one network raises the loss of the other, and neither loss has to fall.
#
# ## The same game with pictures
#
# DCGAN (Radford and others, 2015) uses convolutions in both networks. Ours is tiny. The images have 16 x 16 pixels, and a real image shows a bright disc
# at a random position on a black background, so you can judge the results at a glance.


# %%
def discs(count):
    center = rng.uniform(4, 12, (2, count, 1, 1))
    y, x = np.mgrid[:16, :16] + 0.5
    distance = np.hypot(y - center[0], x - center[1])
    return np.clip(3.5 - distance, 0, 1)[..., None].astype("float32")


def dcgan():
    up = functools.partial(layers.Conv2DTranspose, strides=2, padding="same")
    down = functools.partial(layers.Conv2D, strides=2, padding="same")
    generator = [keras.Input((8,)), layers.Dense(512, "relu")]
    generator += [layers.Reshape((4, 4, 32)), up(32, 4, activation="relu")]
    generator += [up(1, 4, activation="sigmoid")]
    discriminator = [keras.Input((16, 16, 1)), down(16, 4), layers.LeakyReLU(0.2)]
    discriminator += [down(32, 4), layers.LeakyReLU(0.2)]
    discriminator += [layers.Flatten(), layers.Dense(1)]
    return keras.Sequential(generator), keras.Sequential(discriminator)


# %% [markdown]
# The training step is the one above, unchanged. **Predict:** what do the first images look like, and do they improve steadily from step to step?

# %%
keras.utils.set_random_seed(0)
generator, discriminator = dcgan()
train_step = make_train_step(generator, discriminator, 2e-3)
fixed_noise = rng.normal(size=(10, 8)).astype("float32")
rows = {"real": discs(10)}
for i in range(here.drawn + 1):
    if i in (0, here.drawn // 10, here.drawn // 3, here.drawn):
        rows[f"step {i}"] = generator(fixed_noise).numpy()
    train_step(discs(64), rng.normal(size=(64, 8)).astype("float32"))

# %%
fig, axes = plt.subplots(len(rows), 1, figsize=(7.5, 4.4), layout="constrained")
for ax, (name, images) in zip(axes, rows.items(), strict=True):
    strip = np.pad(images[..., 0], ((0, 0), (1, 1), (1, 1)), constant_values=0.5)
    ax.imshow(np.concatenate(strip, axis=1), cmap="gray", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
    ax.set_ylabel(name, rotation=0, ha="right", va="center")
plt.show()

# %% [markdown]
# The top row shows real images. Below it, each column uses the same noise in every row. In our run the generator soon produces black images whatever the
# noise is, because most pixels of a real image are black. This is *mode collapse*: different noise gives the same image. Bright
# spots in different places appear much later. At no point was a generated image compared with a real one pixel by pixel.
#
# This is the difference from all losses in the earlier lessons. Super-resolution needs both kinds: the LR image determines the *content*, and the discriminator
# determines *how photos look*.
#
# ## The training step in three versions
#
# We now train on photos at x4. The generator is not new: it is a small EDSR that was trained on the L1 error. SRGAN (Ledig and others, 2017) also starts from a
# trained generator, in its case one trained on the squared error. A discriminator spots the output of an untrained generator at once and would not have to learn anything about texture.
#
# ![The networks and the losses of a GAN for super-resolution](figures/10_gan.svg)

# %%
scale = 4
hr_patch_size = scale * here.lr_patch_size
load = functools.cache(sr.models.load)
photos = sr.datasets.samples(scale)
batches = sr.pipeline.training_batches(
    photos, lr_patch_size=here.lr_patch_size, batch_size=4
)
lr_batch, hr_batch = next(iter(batches))
print("photos:", ", ".join(photos.names))
print("patches:", lr_batch.shape, "->", hr_batch.shape)


def pretrained():
    return sr.models.load("edsr-x4-bsds-small")


# %% [markdown]
# **Version 1** has one network and one loss, the L1 error of the pixels. `compile` and `fit` do this anyway. We write the step ourselves
# so that the next versions can extend it.


# %%
class Pixels(keras.Model):
    def __init__(self, generator):
        super().__init__()
        self.generator = generator

    def call(self, lr, training=None):
        return self.generator(lr, training=training)

    def image_loss(self, hr, fake):
        return ops.mean(ops.abs(hr - fake))

    def train_step(self, data):
        lr, hr, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            fake = self.generator(lr, training=True)
            loss = self.image_loss(hr, fake)
        weights = self.generator.trainable_variables
        gradients = tape.gradient(loss, weights)
        self.optimizer.apply(gradients, weights)
        return {"loss": loss}


# %% [markdown]
# We test it before we extend it. The loss of our step must equal Keras's own L1:

# %%
first = Pixels(pretrained())
first.compile(keras.optimizers.Adam(1e-4), run_eagerly=here.fast)
expected = keras.losses.MeanAbsoluteError()(hr_batch, first(lr_batch))
logs = first.train_on_batch(lr_batch, hr_batch, return_dict=True)
np.testing.assert_allclose(logs["loss"], expected, rtol=1e-4)
print("L1:", round(float(expected), 4))

# %% [markdown]
# **Version 2** adds a discriminator, and with it a second optimizer and a second tape. The loss of the generator gains the term `-log D(G(lr))` with a small
# weight. This is the step of the game above, with photos in place of numbers.


# %%
class WithDiscriminator(Pixels):
    def __init__(self, generator, discriminator, weight=1e-3):
        super().__init__(generator)
        self.discriminator, self.weight = discriminator, weight

    def compile(self, optimizer, discriminator_optimizer, **kwargs):
        super().compile(optimizer, **kwargs)
        self.discriminator_optimizer = discriminator_optimizer

    def train_step(self, data):
        lr, hr, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as g_tape, tf.GradientTape() as d_tape:
            fake = self.generator(lr, training=True)
            real_logits = self.discriminator(hr, training=True)
            fake_logits = self.discriminator(fake, training=True)
            adversarial = generator_loss(fake_logits)
            g_loss = self.image_loss(hr, fake) + self.weight * adversarial
            d_loss = discriminator_loss(real_logits, fake_logits)
        g_weights = self.generator.trainable_variables
        d_weights = self.discriminator.trainable_variables
        self.optimizer.apply(g_tape.gradient(g_loss, g_weights), g_weights)
        d_gradients = d_tape.gradient(d_loss, d_weights)
        self.discriminator_optimizer.apply(d_gradients, d_weights)
        return {"loss": g_loss, "discriminator_loss": d_loss}


# %% [markdown]
# The generator runs once in a step, the discriminator on photos and on fakes, and both are updated from the weights before the step. The discriminator is SRGAN's with fewer
# filters: strided convolutions that end in one logit for a whole patch.

# %%
keras.utils.set_random_seed(0)
discriminator = sr.models.srgan_discriminator(size=hr_patch_size, filters=8)
second = WithDiscriminator(pretrained(), discriminator)
second.compile(
    keras.optimizers.Adam(1e-4),
    keras.optimizers.Adam(1e-4),
    run_eagerly=here.fast,
)
logs = second.train_on_batch(lr_batch, hr_batch, return_dict=True)
print({name: round(float(value), 4) for name, value in logs.items()})
print("guessing:", round(2 * np.log(2), 4))

# %% [markdown]
# A new discriminator scores about as well as guessing, or worse, because its random weights already prefer some images to others.
#
# **Version 3** adds a content loss, which compares the VGG19 features of both images (`VGG54` is the fourth convolution before the fifth pooling layer). Features
# ask for the right structure in roughly the right place, not for the right value of every pixel.

# %%
try:
    sr.features.FeatureExtractor(["VGG54"]).build()
    vgg = "imagenet"
    print("VGG19 with its ImageNet weights")
except (OSError, ValueError) as error:
    vgg = None
    print(f"VGG19 with RANDOM weights, which only test the mechanics: {error}")
content = sr.losses.Content("VGG54", vgg_weights=vgg)


class WithContent(WithDiscriminator):
    def image_loss(self, hr, fake):
        return super().image_loss(hr, fake) + 1e-2 * content(hr, fake)


# %% [markdown]
# Only one method changed. The package's `GAN` has the same parts, and with the same terms its loss must equal ours.

# %%
third = WithContent(pretrained(), discriminator)
gan = GAN(third.generator, discriminator)
gan.compile(
    keras.optimizers.Adam(1e-4),
    keras.optimizers.Adam(1e-4),
    losses=[(1.0, "l1"), (1e-2, content)],
    adversarial_weight=1e-3,
    run_eagerly=here.fast,
)
fake = third.generator(lr_batch)
real_logits = gan.discriminate(hr_batch, lr_batch)  # a list, one for each output
fake_logits = gan.discriminate(fake, lr_batch)
terms = gan.generator_losses(lr_batch, hr_batch, fake, real_logits, fake_logits)
package = sum(weight * value for weight, value in terms.values())
by_hand = third.image_loss(hr_batch, fake) + 1e-3 * generator_loss(fake_logits[0])
np.testing.assert_allclose(by_hand, package, rtol=1e-3)
print("by hand", round(float(by_hand), 4), "package", round(float(package), 4))

# %% [markdown]
# From here on we use the package's class. It adds what long training needs: several discriminator steps per generator step, loss scaling, warnings and saving. It logs
# each term without its weight, as a mean over the epoch:

# %%
logs = gan.fit(batches, steps_per_epoch=here.steps, verbose=0).history
print("steps:", here.steps)
for name, values in logs.items():
    print(f"{name:20}{values[-1]:.4f}")

# %% [markdown]
# So few steps only prove that the parts fit together. The results of longer training follow below, from the shipped networks.
#
# ### How large is each term?
#
# Weights mean nothing without the size of the terms that they multiply. We take the recipe of a shipped SRGAN, whose generator is EDSR of full size: L1, four layers of VGG19 before their ReLU, and the adversarial loss.
# **Predict:** which term is the largest after weighting?

# %%
recipe = sr.training.RECIPES["edsr-x4-photos-srgan"]
(l1_weight, _), (_, (_, perceptual)) = recipe.losses
fake = load("edsr-x4-bsds")(lr_batch)
parts = {"l1": l1_weight * ops.mean(ops.abs(hr_batch - fake))}
for layer, weight in perceptual["content"].items():
    loss = sr.losses.Content(layer, perceptual["distance"], vgg_weights=vgg)
    parts[layer] = weight * loss(hr_batch, fake)
parts["adversarial, guessing"] = recipe.adversarial_weight * np.log(2)

fig, ax = plt.subplots(figsize=(7.5, 2.3), layout="constrained")
bars = ax.barh(list(parts), [float(part) for part in parts.values()], color="#0072B2")
ax.bar_label(bars, fmt="%.4f", padding=3)
ax.margins(x=0.12)
ax.set(xlabel="weight x loss, four patches of photos", yticks=range(len(parts)))
ax.invert_yaxis()
plt.show()

# %% [markdown]
# With VGG19's weights, two of its layers give the largest terms, and the adversarial loss against a discriminator that guesses is the smallest. That term grows as the discriminator
# improves. The L1 term preserves the colours. SRGAN's paper has no such term, and trains for far longer.
#
# A bar is the value of a term, not its gradient. A small term can still pull in a direction that no other term opposes. `GAN.gradient_norms` measures the gradients.
#
# ### Changing the objective
#
# Least squares (LSGAN; Mao and others, 2016) replaces the cross-entropy: the discriminator's output should be 1 for real images and 0 for fakes, and it is not passed through a sigmoid. Two methods are overridden:


# %%
class LeastSquares(GAN):
    def adversarial_loss(self, real, fake):
        return ops.mean((fake - 1) ** 2)

    def discriminator_loss(self, real, fake):
        return ops.mean((real - 1) ** 2) + ops.mean(fake**2)


squares = LeastSquares(pretrained(), discriminator)
squares.compile("adam", "adam", losses=[(1.0, "l1")], run_eagerly=here.fast)
logs = squares.train_on_batch(lr_batch, hr_batch, return_dict=True)
print({name: round(float(value), 4) for name, value in logs.items()})

# %% [markdown]
# ## SRGAN after training
#
# The shipped `edsr-x4-photos-srgan` started from `edsr-x4-bsds`, EDSR with 64 filters and 16 blocks, and was trained for 3,600 steps against a U-Net discriminator
# with spectral normalization. **Predict:** which of the two has the higher PSNR? Which looks sharper?

# %%
validation = sr.datasets.samples(scale, split="validation")
lr, hr = validation[0]


def upscale_with(names):
    return {
        title: sr.upscale(load(name), lr, tile=None) for title, name in names.items()
    }


def score(images, hr, border):
    scores = {
        name: sr.evaluation.score(hr, image, border) for name, image in images.items()
    }
    return {name: (each["psnr_y"], each["ssim_y"]) for name, each in scores.items()}


pictures = {"bicubic": sr.upscale(sr.models.bicubic(scale), lr, tile=None)}
pictures |= upscale_with({"L1": "edsr-x4-bsds", "SRGAN": "edsr-x4-photos-srgan"})
scores = score(pictures, hr, scale)

# %%
window = (70, 110, 100, 130)  # in HR pixels
title = "x4; PSNR / SSIM on luma, 4 pixels cut"
sr.plotting.comparison({**pictures, "HR": hr}, scores, window, title=title)

# %%
crop = {name: pictures[name] for name in ("L1", "SRGAN")}
sr.plotting.slider(crop, crop=window, zoom=4)

# %% [markdown]
# The L1 network has the higher PSNR, because it was trained for pixel errors. Where many fine details are compatible with the LR image, their mean has the smallest error, and the mean
# is smooth. A discriminator penalizes smoothness.
#
# Hair of another kind, in a photo that neither network was trained on:

# %%
portrait = data.astronaut()[:240, 100:340]
small = sr.degradations.Downscale(scale)(portrait)
hair = {
    name: sr.upscale(load(weights), small, tile=None)
    for name, weights in {"L1": "edsr-x4-bsds", "SRGAN": "edsr-x4-photos-srgan"}.items()
}
sr.plotting.comparison(
    {**hair, "HR": portrait},
    score(hair, portrait, scale),
    (10, 80, 100, 120),
    title=title,
    whole=False,
)

# %% [markdown]
# Where L1 gives smooth hair and smooth fur, SRGAN gives strands and grain, and its edges are sharper. Compare both with the HR image: the strands run in the right
# direction, but no single strand is true. On smooth skin, and along the dark edges of the eye, you find grain that the HR image does not have. Part of it repeats every four pixels, which is the trace of the pixel shuffle (lesson 4).
# Our network was trained for 3,600 steps, that of SRGAN's authors for 200,000.

# %%
assert scores["L1"][0] > scores["SRGAN"][0] > scores["bicubic"][0] - 1
print("Mean absolute difference of horizontal neighbours (luma, white is 1):")
for name, image in {"HR": hr, **pictures}.items():
    luma = sr.images.luma(sr.images.to_float(image))
    print(f"{name:8}{float(abs(np.diff(luma, axis=1)).mean()):.4f}")

# %% [markdown]
# This number does not measure quality, since noise would raise it too. It only says how much fine contrast each picture has. Whether that contrast is *right* can only be found by
# comparing with the HR image.
#
# In the paper, with a large network and long training, viewers preferred the GAN. On BSD100 they gave SRGAN 3.56 of 5 points, and 2.29 to SRResNet, the same
# network trained on the squared error alone, although SRResNet has the higher PSNR, 27.58 against 25.16 dB.
#
# ### Interpolating between both
#
# Two networks of the same architecture, one of them fine-tuned from the other, can be blended weight by weight, as in lesson 7. The idea is ESRGAN's. It needs no
# training, and the user can choose how much is invented. **Predict:** how much PSNR does a blend of half and half cost, compared with the full SRGAN?

# %%
blends = {}
for amount in (0, 0.5, 1):
    blend = sr.models.blend(load("edsr-x4-bsds"), load("edsr-x4-photos-srgan"), amount)
    blends[f"{amount:.0%} SRGAN"] = sr.upscale(blend, lr, tile=None)
scores = score(blends, hr, scale)
sr.plotting.comparison(
    {**blends, "HR": hr}, scores, (90, 130, 60, 80), title=title, whole=False
)

# %% [markdown]
# In our run half of the change costs 0.06 dB, and all of it 0.8 dB. The half keeps only part of the new detail.
#
# ## ESRGAN: a relativistic discriminator
#
# ESRGAN (Wang and others, 2018) asks its discriminator another question: is this photo *more realistic than the fakes*? From each logit, the mean
# logit of the other kind is subtracted.
#
# With logits $C(x)$ of photos $x$ and $C(\hat{x})$ of fakes $\hat{x}$, and the logistic function $\sigma$:
#
# $$L_D = -\log \sigma\big(C(x) - \mathrm{mean}\,C(\hat{x})\big) - \log\Big(1 - \sigma\big(C(\hat{x}) - \mathrm{mean}\,C(x)\big)\Big)$$

# %%
real_logits = np.array([[3.0], [2.0]], "float32")
fake_logits = np.array([[1.0], [-1.0]], "float32")


def relative_loss(real_logits, fake_logits):
    return discriminator_loss(
        real_logits - ops.mean(fake_logits), fake_logits - ops.mean(real_logits)
    )


relativistic = RelativisticGAN(pretrained(), discriminator)
package = relativistic.discriminator_loss(real_logits, fake_logits)
np.testing.assert_allclose(relative_loss(real_logits, fake_logits), package, rtol=1e-5)

# %% [markdown]
# **Predict:** suppose the discriminator adds 5 to every logit, those of photos and those of fakes. Which of the two losses changes?

# %%
for shift in (0, 5):
    plain = float(discriminator_loss(real_logits + shift, fake_logits + shift))
    relative = float(relative_loss(real_logits + shift, fake_logits + shift))
    print(f"logits + {shift}: standard {plain:.3f}, relativistic {relative:.3f}")

# %% [markdown]
# The relativistic loss depends only on differences of logits. The loss of the generator now has two terms: its fakes against the mean logit of the photos, and the photos against the mean logit of
# its fakes. Both depend on the logits of the fakes, so photos take part in the training of the generator.
#
# The shipped `rrdb-x4-bsds-esrgan` was trained this way, starting from `rrdb-x4-bsds-small`, for only a few hundred steps. The photo is the second of the
# validation split.

# %%
lr, hr = validation[1]
lr, hr = lr[25:85, 70:150], hr[100:340, 280:600]  # a part of it
window = (75, 105, 48, 72)
pictures = upscale_with({"L1": "rrdb-x4-bsds-small", "ESRGAN": "rrdb-x4-bsds-esrgan"})
scores = score(pictures, hr, scale)
sr.plotting.comparison(
    {**pictures, "HR": hr}, scores, window, title=title, whole=False, columns=3
)

# %% [markdown]
# After so few steps the two differ little, in the scores as well, and the name on the tank is illegible in both. A discriminator cannot read. It only
# learns whether a patch resembles photos. Never use a GAN where details are evidence.
#
# ## A U-Net with a discriminator
#
# A PatchGAN ends with a map of logits, one for each patch of the image that it sees. Here is the one of the package:
#
# ![PatchGAN](figures/10_patchgan.svg)
#
# Restoration does not change the size of the image. `crappify` adds blur, noise and JPEG artefacts, and a U-Net removes them. The discriminator may return one logit for the whole
# patch, one for each of many small patches (PatchGAN), or one for each pixel:

# %%
patch = np.zeros((1, 64, 64, 3), "float32")
discriminators = {
    "SRGAN": sr.models.srgan_discriminator(64, filters=8),
    "PatchGAN": sr.models.patchgan(filters=8),
    "U-Net": sr.models.unet_discriminator(filters=8),
}
for name, network in discriminators.items():
    print(f"{name:10}{network(patch).shape[1:]} logits for 64 x 64 pixels")

# %% [markdown]
# `unet-x1-bsds-small` was trained on pixels alone. The other two shipped sets continued from it for a few hundred steps with L1, features and a discriminator: a PatchGAN for `patchgan`, and
# a U-Net for `critic`.

# %%
lr, hr = sr.datasets.samples(1, split="validation", degradation="crappify")[0]
sets = {"pixels": "small", "PatchGAN": "patchgan", "U-Net discriminator": "critic"}
restored = {"damaged": lr} | upscale_with(
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
# On this photo the damage is mostly blur. All three networks gain about 1 dB over the damaged photo, and their scores differ by at most 0.1 dB. But look closely at
# the skin around the eye: both networks trained with a discriminator leave a fine, regular grid, and it is stronger with the PatchGAN. The original has no such grid.
#
# Nearly equal scores therefore do not mean equally good pictures. The fine hairs of the original are missing in all three: what is lost in the damaged photo can only be guessed.
#
# ### Train the discriminator first
#
# The generator is already good, while a new discriminator knows nothing. So we train the discriminator alone until it does better than guessing: with `discriminator_warmup_loss=1.3`, the generator is only
# trained in steps in which the loss of the discriminator is at most 1.3. We take a smaller PatchGAN and the damage of lesson 7, which leaves the discriminator more to find.
# **Predict:** in how many of the steps will the generator wait?

# %%
d = sr.degradations
damage = d.Compose([d.GaussianBlur(1.2), d.GaussianNoise(0.03), d.JPEG(60)])
damaged = sr.datasets.samples(1, degradation=damage)
pairs = sr.pipeline.training_batches(damaged, lr_patch_size=64, batch_size=4)
keras.utils.set_random_seed(0)
small_patchgan = sr.models.patchgan(filters=8, num_layers=2)
unet_gan = GAN(sr.models.load("unet-x1-bsds-small"), small_patchgan)
unet_gan.compile(
    keras.optimizers.Adam(2e-4),
    keras.optimizers.Adam(1e-3),
    losses=[(1.0, "l1")],
    adversarial_weight=1e-2,
    discriminator_warmup_loss=1.3,
    run_eagerly=here.fast,
)


# %%
class StepRecorder(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.losses = []
        self.generator_steps = []

    def on_train_batch_end(self, batch, logs=None):
        # the log is the mean over the epoch so far; recover the value of this step
        total = float(logs["discriminator_loss"]) * (batch + 1)
        self.losses.append(total - sum(self.losses))
        self.generator_steps.append(int(self.model.generator_optimizer.iterations))


recorder = StepRecorder()
unet_gan.fit(pairs, steps_per_epoch=here.discriminator, callbacks=[recorder], verbose=0)

# %%
fig, ax = plt.subplots(figsize=(7.5, 2.6), layout="constrained")
losses = np.array(recorder.losses)
steps = np.arange(len(losses))
trained = np.diff(recorder.generator_steps, prepend=0) > 0
ax.plot(steps, losses, color="0.7")
ax.plot(
    steps[~trained], losses[~trained], "o", color="#0072B2", label="generator waits"
)
ax.plot(steps[trained], losses[trained], "o", color="#D55E00", label="both train")
ax.axhline(2 * np.log(2), color="0.4", linestyle="--", label="guessing")
ax.axhline(1.3, color="0.4", linestyle=":", label="1.3, the threshold")
ax.set(xlabel="step", ylabel="discriminator loss")
ax.legend(frameon=False, fontsize=8)
plt.show()
print("steps in which the generator trained:", int(trained.sum()), "of", len(trained))

# %% [markdown]
# A blue dot is a step in which the generator was not trained, and an orange dot a step in which both were. In our run the discriminator guesses for
# more than a third of the time, then slowly finds a difference. Past the middle the generator is trained for the first time. Where the loss jumps back above the threshold,
# it waits again. Only near the end are both trained in every step.
#
# The rule exists because the gradient of a discriminator that guesses carries no information. Without the rule the U-Net would follow that gradient anyway. Try the
# milder `crappify`, or `num_layers=3`: does the discriminator learn as fast?
#
# ## Optional: loss scaling for two optimizers
#
# GPUs are faster in float16, whose smallest positive number is about 6e-8. **Predict:** a loss has a gradient of about 1e-9. What is left of it
# after it has passed through a layer in float16?

# %%
weight = tf.Variable(1.0)


def gradient(loss_scale):
    with tf.GradientTape() as tape:
        half = tf.cast(weight, "float16") * tf.constant(1e-4, "float16")
        loss = 1e-5 * tf.cast(half, "float32") * loss_scale
    return float(tape.gradient(loss, weight)) / loss_scale


print("without loss scaling:", gradient(1.0))
print(f"loss times 2**15:     {gradient(2.0**15):.2e}")
assert gradient(1.0) == 0 and gradient(2.0**15) > 0

# %% [markdown]
# The first gradient underflows to 0 without an error. `LossScaleOptimizer` multiplies the loss by a scale, divides the gradients by it again, and halves the scale whenever a
# gradient overflows. Here is one overflow, in the gradient of the discriminator:

# %%
scales = {}
for name, value in (("generator", 1.0), ("discriminator", np.inf)):
    variable = keras.Variable(0.0)
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    optimizer.build([variable])
    optimizer.apply([tf.constant(value)], [variable])
    scales[name] = float(optimizer.dynamic_scale)
print(scales)
assert scales["discriminator"] == scales["generator"] / 2

# %% [markdown]
# The generator keeps its scale, because the two losses have different ranges. Keras wraps only the optimizer that is passed to its own `compile`. A second optimizer is
# easily forgotten, and no error is raised. The package wraps both:

# %%
keras.config.set_dtype_policy("mixed_float16")
half = GAN(sr.models.edsr(4, filters=4, num_blocks=1), sr.models.patchgan(filters=4))
keras.config.set_dtype_policy("float32")
half.compile("adam", "adam", losses=[(1.0, "l1")])
for optimizer, network in half.optimizers():
    print(f"{network.name:10}{type(optimizer).__name__}")

# %% [markdown]
# float16 is not faster on a CPU, so we do not train with it here. bfloat16 has the range of float32 and needs no loss scaling.
#
# ## Two ways to fail
#
# *Mode collapse* was visible in the discs: from different noise the generator makes the same few images. No loss shows it, so look at many
# samples (exercise 4).
#
# The other failure is an *overpowering discriminator*. If it is always right and certain of it, its gradient vanishes and the generator learns nothing.
# We provoke this with a generator that has random weights and hardly learns, and a discriminator that learns fast. The package counts consecutive steps with a
# discriminator loss near 0, and warns after 500 of them. Here we lower that limit to a few.

# %%
keras.utils.set_random_seed(0)
overpowered = GAN(
    sr.models.edsr(4, filters=4, num_blocks=1),
    sr.models.patchgan(filters=8, num_layers=2),
)
overpowered.COLLAPSED_STEPS, overpowered.COLLAPSED_LOSS = 5, 0.3
overpowered.compile(
    keras.optimizers.Adam(1e-6),
    keras.optimizers.Adam(1e-2),
    losses=[(1.0, "l1")],
)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    logs = overpowered.fit(batches, steps_per_epoch=20, epochs=5, verbose=0).history
print("discriminator loss, every 20 steps:", np.round(logs["discriminator_loss"], 3))
for warning in caught:
    if "Collapse" in str(warning.message):
        print(warning.message)

# %% [markdown]
# In a few dozen steps the discriminator became right and certain, while the generator did not change. The warning names the remedies. One of them, *spectral
# normalization*, divides the kernel of each convolution by its largest singular value. This bounds how fast the logit can change with the image, so the generator
# keeps a usable gradient even if the discriminator is almost always right. All discriminators of the package have it as `spectral_norm=True`.
#
# The package's warning calls this a collapse. In papers, "collapse" mostly means mode collapse, and an overpowering discriminator is discussed as *vanishing gradients*.
#
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** The discriminator gives a fake the probability 0.1 of being a photo. What is the adversarial loss of the generator?

# %%
answer = None  # a number

sr.course.check(answer, 2.302585, tolerance=0.01)

# %% tags=["solution"]
# @title Solution 1
# -log D: much more than log 2 = 0.69, which a discriminator that guesses gives
answer = -np.log(0.1)
logit = np.array([[np.log(0.1 / 0.9)]], "float32")  # the sigmoid of it is 0.1
np.testing.assert_allclose(generator_loss(logit), answer, rtol=1e-4)
print(round(answer, 2))
sr.course.check(answer, 2.302585, tolerance=0.01)

# %% [markdown]
# **Exercise 2.** In `LeastSquares`, a discriminator returns 0.5 for everything. What is its loss, and what is the adversarial loss of the generator? Answer
# with a list of both.

# %%
answer = None  # [discriminator loss, adversarial loss]

sr.course.check(answer, [0.5, 0.25], tolerance=0.01)

# %% tags=["solution"]
# @title Solution 2
answer = [(0.5 - 1) ** 2 + 0.5**2, (0.5 - 1) ** 2]
guesses = np.full((4, 1), 0.5, "float32")
package = [
    squares.discriminator_loss(guesses, guesses),
    squares.adversarial_loss(guesses, guesses),
]
np.testing.assert_allclose(answer, package)
print(answer)
sr.course.check(answer, [0.5, 0.25], tolerance=0.01)

# %% [markdown]
# **Exercise 3.** The first GAN paper describes the game with another loss of the generator: it minimizes `log(1 - D)`. For a logit of -6, with which the discriminator
# is right and certain, compute the gradient of both losses with a tape. With which one does the generator still learn?

# %%
answer = None  # [gradient of -log D, gradient of log(1 - D)]

sr.course.check(answer, [-0.997527, -0.002473], tolerance=0.001)

# %% tags=["solution"]
# @title Solution 3
logit = tf.Variable(-6.0)
with tf.GradientTape(persistent=True) as tape:
    probability = tf.sigmoid(logit)
    non_saturating = -tf.math.log(probability)
    saturating = tf.math.log(1 - probability)
answer = [float(tape.gradient(loss, logit)) for loss in (non_saturating, saturating)]
print("-log D: {:.4f}, log(1 - D): {:.4f}".format(*answer))
sr.course.check(answer, [-0.997527, -0.002473], tolerance=0.001)

# %% [markdown]
# With `-log D` the gradient still pushes the logit upwards. It is called the *non-saturating* loss for this reason. (How much of that reaches the pixels depends on the gradient of the discriminator itself.)
#
# **Exercise 4.** Train the GAN on single numbers with two peaks: real numbers lie near -2 or near 2, with equal probability. Draw a histogram of the generated numbers. Are both
# peaks found? Try other seeds and learning rates.

# %%
answer = None  # your histogram

# %% tags=["solution"]
# @title Solution 4
fig, axes = plt.subplots(1, here.seeds, figsize=(9, 2.6), squeeze=False)
for seed, ax in enumerate(axes[0]):
    keras.utils.set_random_seed(seed)
    generator, discriminator = small_network(), small_network()
    train_step = make_train_step(generator, discriminator, 5e-3)
    for i in range(1, here.toy + 1):
        real = rng.choice([-2, 2], (64, 1)) + rng.normal(0, 0.3, (64, 1))
        noise = rng.normal(size=(64, 1)).astype("float32")
        train_step(real.astype("float32"), noise)
        if i in (here.toy // 5, here.toy):
            fake = np.ravel(generator(test_noise))
            ax.hist(fake, np.linspace(-4, 4, 60), alpha=0.6, label=f"step {i}")
    for peak in (-2, 2):
        ax.axvline(peak, color="0.4", linestyle="--")
    ax.set(title=f"seed {seed}", xlabel="generated number")
    ax.legend(frameon=False, fontsize=7, loc="upper center")
fig.tight_layout()
plt.show()

# %% [markdown]
# The dashed lines are the real peaks. In our runs both are found in the end. Where one of them gets nearly nothing, the generator has collapsed to the
# other mode, and later steps may still find the first. Hardly any real numbers lie in the middle.
#
# **Exercise 5.** Write a `train_step` in which the discriminator is updated twice on each batch and the generator once, afterwards. Derive the class from `WithDiscriminator`. Train on one batch and answer
# with the numbers of updates, which the optimizers count in `iterations`.

# %%
answer = None  # [generator_updates, discriminator_updates]

sr.course.check(answer, [1, 2])


# %% tags=["solution"]
# @title Solution 5
class TwoDiscriminatorSteps(WithDiscriminator):
    def train_step(self, data):
        lr, hr, _ = keras.utils.unpack_x_y_sample_weight(data)
        fake = self.generator(lr, training=True)
        weights = self.discriminator.trainable_variables
        with tf.GradientTape() as tape:
            real_logits = self.discriminator(hr, training=True)
            fake_logits = self.discriminator(fake, training=True)
            loss = discriminator_loss(real_logits, fake_logits)
        gradients = tape.gradient(loss, weights)
        self.discriminator_optimizer.apply(gradients, weights)
        return super().train_step(data)  # updates both once


keras.utils.set_random_seed(0)
network = sr.models.srgan_discriminator(size=hr_patch_size, filters=8)
model = TwoDiscriminatorSteps(pretrained(), network)
adams = [keras.optimizers.Adam(1e-4) for _ in range(2)]
model.compile(*adams, run_eagerly=here.fast)
model.train_on_batch(lr_batch, hr_batch)
answer = [int(adam.iterations) for adam in adams]
sr.course.check(answer, [1, 2])

# %% [markdown]
# ## Summary
#
# - A GAN has two networks, two losses and two optimizers. A discriminator that guesses scores 2 log 2. Neither loss has to fall, so look at pictures.
# - SRGAN takes a trained generator and adds an adversarial loss with a small weight and a content loss on VGG19. A pixel loss preserves the colours.
# - In our run SRGAN gained fine contrast over the L1 network and lost PSNR. Such detail may be invented.
# - A relativistic discriminator compares photos with fakes. A discriminator can return a logit for an image, a patch or a pixel, and should do better than guessing before
#   the generator follows it.
# - In float16 each optimizer needs its own loss scale.
# - Mode collapse shows in the variety of the samples. A discriminator loss near 0 for a long time means that the discriminator overpowers the generator.
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
# - Miyato and others, [Spectral normalization for generative adversarial networks](https://arxiv.org/abs/1802.05957), 2018.
# - Wang and others, [Real-ESRGAN](https://arxiv.org/abs/2107.10833), 2021: the U-Net as a discriminator.
# - Blau and Michaeli, [The perception-distortion tradeoff](https://arxiv.org/abs/1711.06077), 2018: why distortion and perceptual quality conflict.
