# %% [markdown]
# # 10. GANs: training against a discriminator
#
# Two networks that train each other, by hand and with the package: the losses, a training step in three versions, what the
# discriminator adds, SRGAN and ESRGAN, and how such training fails.
#
# ![Gravel, from a network trained with L1, from the same network after training against a discriminator, and the photo](figures/10_goal.jpg)
#
# *The same network before and after training against a discriminator, and the photo. Which of the stones in the middle are real?*
#
# **You will be able to**
#
# - write both losses of a GAN, and say what a discriminator that guesses scores;
# - write a `train_step` for two networks, and find each part of it in the package's `GAN`;
# - isolate what the discriminator adds, by training the same network with and without it;
# - build discriminators that judge an image, a patch or a pixel, and one that also sees the LR image;
# - look at the output of a GAN and say what was invented;
# - tell mode collapse from an overpowering discriminator, and explain what spectral normalization does about the latter.
#
# **You need** lesson 4 (pixel shuffle, training on patches), lesson 7 (content loss, what VGG19 sees) and lesson 8 (EDSR). An
# optional section uses the U-Net of lesson 6.
#
# **Time:** about 90 minutes to read the core, 40 for the exercises; 3 minutes of computing on two CPU cores (measured), 2 minutes on a GPU in Colab (an estimate).
#
# **Optional** sections, 10 minutes more: *changing the objective*; *interpolating between both*; *train the discriminator first*; *a warning from the package*. Everything else is core.
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
    minutes=(1, 3, 2),
    toy=(300, 1500, 1500),
    drawn=(30, 1500, 2500),
    stones=(3, 150, 150),
    steps=(1, 12, 100),
    epochs=(1, 15, 15),
    discriminator=(2, 80, 200),
    failed=(40, 400, 400),
    seeds=(1, 3, 3),
    lr_patch_size=(8, 16, 16),
)

# %% [markdown]
# ## A GAN on single numbers
#
# A generative adversarial network consists of two networks. The *generator* turns noise into samples. The *discriminator* sees
# real samples and generated ones, which are called *fakes*, and estimates which are real. Each network learns from the other. We
# begin with the smallest case, in which a sample is a single number.

# %%
import functools
import warnings

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers, ops
from scipy import ndimage
from skimage import data

from sr_keras.training.gan import GAN, RelativisticGAN

cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)

# %% [markdown]
# The discriminator returns a *logit*, which is positive for "real". The sigmoid turns it into $D$, the probability that the
# sample is real. The loss of the discriminator asks for 1 on real samples $x$ and for 0 on fakes $G(z)$. The loss of the
# generator asks for 1 on its fakes:
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
# Each step uses two gradient tapes, one for each network. The generator runs once, and both losses use its output.


# %%
def make_train_step(generator, discriminator, g_rate, d_rate):
    generator_optimizer = keras.optimizers.Adam(g_rate, beta_1=0.5)
    discriminator_optimizer = keras.optimizers.Adam(d_rate, beta_1=0.5)
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
# The real numbers are distributed around 2, and the noise around 0. **Predict:** a discriminator that only guesses returns the
# probability 0.5 for every sample. What is its loss? And will the losses fall during training, as they did in earlier lessons?


# %%
def small_network():
    return keras.Sequential(
        [keras.Input((1,)), layers.Dense(16, "relu"), layers.Dense(1)]
    )


keras.utils.set_random_seed(0)
generator, discriminator = small_network(), small_network()
train_step = make_train_step(generator, discriminator, 5e-3, 5e-3)
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
# The generated numbers moved to the real ones, although the generator was never told where these are. Their mean is about
# right, but their standard deviation is only half of the real one. Even so, the discriminator ends at guessing, 2 log 2 = 1.39,
# and the generator at log 2 = 0.69. The best possible discriminator would return $p(x) / (p(x) + q(x))$, with the densities $p$
# of the real and $q$ of the generated numbers, and would guess everywhere only if they were equal. Ours is small and learns one
# step at a time. So a loss of 2 log 2 means that *this* discriminator finds no difference, not that there is none. The losses
# say little about the quality of the samples: when one network improves, the loss of the other rises, so neither loss has to
# fall.
#
# ## The same game with pictures
#
# DCGAN (Radford and others, 2015) uses convolutions in both networks. Ours is tiny. The images have 16 x 16 pixels. A real image
# shows a bright disc at a random position on a black background, so you can judge the results at a glance.


# %%
def discs(count):
    center = rng.uniform(4, 12, (2, count, 1, 1))
    y, x = np.mgrid[:16, :16] + 0.5
    distance = np.hypot(y - center[0], x - center[1])
    return np.clip(3.5 - distance, 0, 1)[..., None].astype("float32")


def dcgan_generator():
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(4 * 4 * 32, "relu"),
            layers.Reshape((4, 4, 32)),
            layers.Conv2DTranspose(32, 4, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(
                1, 4, strides=2, padding="same", activation="sigmoid"
            ),
        ]
    )


# %% [markdown]
# The discriminator is the mirror image. Strided convolutions halve the size, and a dense layer returns one logit for the whole
# image:


# %%
def dcgan_discriminator():
    return keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(16, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2D(32, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )


# %% [markdown]
# The training step is the one above, unchanged. **Predict:** what do the first images look like, and do they improve steadily
# from step to step?

# %%
keras.utils.set_random_seed(0)
generator, discriminator = dcgan_generator(), dcgan_discriminator()
train_step = make_train_step(generator, discriminator, 2e-3, 2e-3)
fixed_noise = rng.normal(size=(10, 8)).astype("float32")
rows = {"real": discs(10)}
curves = []
for i in range(here.drawn + 1):
    if i in (0, here.drawn // 10, here.drawn // 3, here.drawn):
        rows[f"step {i}"] = generator(fixed_noise).numpy()
    noise = rng.normal(size=(64, 8)).astype("float32")
    curves.append([float(loss) for loss in train_step(discs(64), noise)])


# %%
def draw_strip(ax, images):
    strip = np.pad(images[..., 0], ((0, 0), (1, 1), (1, 1)), constant_values=0.5)
    ax.imshow(np.concatenate(strip, axis=1), cmap="gray", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])


fig, axes = plt.subplots(len(rows), 1, figsize=(7.5, 4.4), layout="constrained")
for ax, (name, images) in zip(axes, rows.items(), strict=True):
    draw_strip(ax, images)
    ax.set_ylabel(name, rotation=0, ha="right", va="center")
plt.show()
fig, ax = plt.subplots(figsize=(7.5, 2.2), layout="constrained")
ax.plot(np.array(curves), label=("generator loss", "discriminator loss"))
ax.axhline(2 * np.log(2), color="0.4", linestyle="--", label="guessing")
ax.set(xlabel="step", ylabel="loss")
ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# The top row shows real images. Below it, each column uses the same noise in every row. The images do not improve steadily. In
# our run the generator soon produces black images whatever the noise is, because most pixels of a real image are black. The
# curves show why it stays there for a while: the discriminator loss is close to 0, so the discriminator is winning, and the
# sigmoid at the end of the generator passes hardly any gradient where a pixel is black. Then the generator finds the discs, and
# the discriminator ends close to guessing. At no point was a generated image compared with a real one pixel by pixel.
#
# This is the difference from all losses in the earlier lessons. Super-resolution needs both kinds: the LR image determines the
# *content*, and the discriminator determines *how photos look*.
#
# ## The training step in three versions
#
# We now train on photos at x4. The generator is not new: it is a small EDSR (lesson 8) that was trained on the L1 error. SRGAN
# (Ledig and others, 2017) also starts from a trained generator, in its case one trained on the squared error. The output of an
# untrained generator is so different from photos that a discriminator could tell it apart without learning anything about
# texture.
#
# ![The networks and the losses of a GAN for super-resolution](figures/10_gan.svg)

# %%
scale = 4
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
# ### Version 1: one network, one loss
#
# The first version minimizes the L1 error of the pixels. `compile` and `fit` do this anyway. We write the step ourselves so that
# the next versions can extend it.


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
# We test it before we extend it. The loss of our step must equal Keras's own L1. (A single step runs faster eagerly, without
# being compiled into a graph first.)

# %%
first = Pixels(pretrained())
first.compile(keras.optimizers.Adam(1e-4), run_eagerly=True)
expected = keras.losses.MeanAbsoluteError()(hr_batch, first(lr_batch))
logs = first.train_on_batch(lr_batch, hr_batch, return_dict=True)
np.testing.assert_allclose(logs["loss"], expected, rtol=1e-4)
print("L1:", round(float(expected), 4))

# %% [markdown]
# ### Version 2: a discriminator
#
# The second version adds a discriminator, and with it a second optimizer and a second tape. The loss of the generator gains the
# term `-log D(G(lr))` with a small weight. This is the step of the game above, with photos in place of numbers.


# %%
class WithDiscriminator(Pixels):
    def __init__(self, generator, discriminator, weight=5e-3):
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
# In each step the generator runs once, and the discriminator twice, on photos and on fakes. Both networks are updated from the
# weights before the step.
#
# Our discriminator is a *PatchGAN* (Isola and others, 2017). It consists of convolutions only, so it returns a map of logits
# instead of a single one. Each logit judges one patch of the image, and the loss is the mean over all of them:


# %%
def patchgan(filters):
    return keras.Sequential(
        [
            keras.Input((None, None, 3)),
            layers.Conv2D(filters, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2D(2 * filters, 4, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.2),
            layers.Conv2D(4 * filters, 4, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.2),
            layers.Conv2D(1, 4, padding="same"),
        ]
    )


our_patchgan, package_patchgan = patchgan(24), sr.models.patchgan(24, num_layers=2)
our_patchgan.set_weights(package_patchgan.get_weights())
np.testing.assert_allclose(
    our_patchgan(hr_batch), package_patchgan(hr_batch), rtol=1e-3, atol=1e-4
)
print(hr_batch.shape, "->", our_patchgan(hr_batch).shape)

# %% [markdown]
# The network equals the package's with two strided convolutions. (The package draws other initial weights, those of the paper,
# which is why we copy them.) How large is the patch that one logit sees? We go through the layers from the last to the first. A
# layer with kernel $k$ and stride $s$ turns a field of $n$ positions in its output into $s\,(n - 1) + k$ positions in its input:

# %%
for num_strided in (2, 3):
    strides = [2] * num_strided + [1, 1]
    field = 1
    for stride in reversed(strides):
        field = stride * (field - 1) + 4
    print(f"{num_strided} strided convolutions: {field} x {field} pixels")

# %% [markdown]
# The paper's network has three strided convolutions and sees 70 x 70 pixels.
#
# Now the first step of version 2. **Predict:** how well does a new discriminator score?

# %%
keras.utils.set_random_seed(0)
second = WithDiscriminator(pretrained(), sr.models.patchgan(24, num_layers=2))
second.compile(
    keras.optimizers.Adam(1e-4), keras.optimizers.Adam(1e-4), run_eagerly=True
)
logs = second.train_on_batch(lr_batch, hr_batch, return_dict=True)
print({name: round(float(value), 4) for name, value in logs.items()})
print("guessing:", round(2 * np.log(2), 4))

# %% [markdown]
# A new discriminator scores about as well as guessing, or slightly worse, because its random weights already prefer some images
# to others.
#
# ### What does the discriminator add?
#
# The only way to find out is to train twice and to change nothing else. Both runs start from the same network and see the same
# patches in the same order. One uses version 1, and the other version 2. The patches come from a single texture, gravel, because
# a discriminator learns a single texture in a few dozen steps. With photos of all kinds, strands of hair appeared only after
# 2,500 steps ([training log](../benchmarks/TRAINING_LOG.md)). The right-hand part of the photo is kept for testing.

# %%
gravel = np.repeat(data.gravel()[..., None], 3, axis=-1)  # grey, in three channels
test_hr = gravel[:256, 352:]
test_lr = sr.degradations.Downscale(scale)(test_hr)
stones = sr.datasets.arrays([gravel[:, :352]], scale=scale)
stone_batches = sr.pipeline.training_batches(
    stones, lr_patch_size=here.lr_patch_size, batch_size=8
)
stone_batches = list(stone_batches.take(here.stones))


def train_on_stones(model, measured=None):
    """Trains once through the batches; returns the test photo after each third."""
    pictures, losses, norms = {}, [], {}
    for step, (lr, hr) in enumerate(stone_batches, 1):
        if measured and step % 10 == 1:
            norms[step] = measured.gradient_norms(lr, hr)
        logs = model.train_on_batch(lr, hr, return_dict=True)
        losses.append(float(logs.get("discriminator_loss", np.nan)))
        if step % (here.stones // 3) == 0:
            name = f"step {step}"
            pictures[name] = sr.upscale(model.generator, test_lr, tile=None)
    return pictures, losses, norms


# %% [markdown]
# Besides PSNR we compute LPIPS (lesson 7): it compares normalized features of AlexNet, with weights that were fitted to human
# ratings. Smaller is more similar, and this network was not part of any training here. Its weights are a separate file, and
# where that is absent, the score is `nan`. **Predict:** which run will have the better PSNR, and which the better LPIPS?
# Remember that LPIPS compares features, not pixels.

# %%
lpips_distance = sr.lpips.Distance()


def scores_of(hr, image):
    """Returns PSNR on luma (dB) and LPIPS, 4 pixels cut."""
    pair = [sr.images.to_float(x[4:-4, 4:-4])[None] for x in (hr, image)]
    try:
        distance = float(lpips_distance(*pair)[0])
    except FileNotFoundError:
        distance = np.nan
    return sr.evaluation.score(hr, image, 4)["psnr_y"], distance


def captions(hr, images):
    found = {name: scores_of(hr, image) for name, image in images.items()}
    return {name: f"{p:.2f} dB, LPIPS {d:.3f}" for name, (p, d) in found.items()}


title = "x4; PSNR on luma and LPIPS, 4 pixels cut"

# %% [markdown]
# In every tenth step of the second run, a method of the package's `GAN` records the gradients of both terms, for later.

# %%
keras.utils.set_random_seed(0)
schedule = keras.optimizers.schedules.CosineDecay(3e-4, here.stones)
control = Pixels(pretrained())
control.compile(
    keras.optimizers.Adam(schedule, beta_1=0.5), run_eagerly=here.stones < 10
)
with_l1, _, _ = train_on_stones(control)

keras.utils.set_random_seed(0)
adversary = WithDiscriminator(pretrained(), sr.models.patchgan(24, num_layers=2))
adversary.compile(
    keras.optimizers.Adam(schedule, beta_1=0.5),
    keras.optimizers.Adam(4e-4, beta_1=0.5),
    run_eagerly=here.stones < 10,
)
measured = GAN(adversary.generator, adversary.discriminator)  # measures, never trains
measured.compile("adam", "adam", losses=[(1.0, "l1")], adversarial_weight=5e-3)
with_discriminator, losses, norms_on_stones = train_on_stones(adversary, measured)
last = f"step {len(stone_batches)}"

# %%
pictures = {
    "the start": sr.upscale(pretrained(), test_lr, tile=None),
    "L1 alone": with_l1[last],
    "L1 and a discriminator": with_discriminator[last],
}
sr.plotting.comparison(
    {**pictures, "HR": test_hr},
    captions(test_hr, pictures),
    (40, 5, 120, 150),
    title=title,
    whole=False,
)

# %% [markdown]
# The difference is plain to see. L1 alone gains 0.4 dB over the start, and its stones stay smooth. With the discriminator, the
# gaps between the stones are sharper, and fine lines make the stones look rough. LPIPS falls from 0.37 to 0.24, although the PSNR
# is 1 dB lower than with L1 alone. (This is one run of each; another seed gives other scores.) Compare single stones with the HR
# photo: the outlines of the large ones fit, but the fine lines on them are invented.
#
# How does this come about? Here are the test photo after each third of the training, and the loss of the discriminator.

# %%
sr.plotting.comparison(
    with_discriminator,
    captions(test_hr, with_discriminator),
    (40, 5, 120, 117),
    title=title,
    whole=False,
)

# %%
fig, ax = plt.subplots(figsize=(7.5, 2.2), layout="constrained")
ax.plot(losses)
ax.axhline(2 * np.log(2), color="0.4", linestyle="--", label="2 log 2: guessing")
ax.set(xlabel="step", ylabel="discriminator loss")
ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# The discriminator begins at guessing and improves almost all the time. In the end it is far ahead of the generator on the
# training patches. The generator's learning rate approaches 0 meanwhile. A discriminator that is too far ahead is the second
# failure in *Two ways to fail*.
#
# What does the trained discriminator see? We show its map of probabilities for four images. (Its batch normalization must work as
# in training, with the statistics of what it sees, hence `training=True`.) **Predict:** which of the four does it take for a
# photo?

# %%
fig, axes = plt.subplots(1, 4, figsize=(11, 3.4), layout="constrained")
for ax, (name, image) in zip(axes, {**pictures, "HR": test_hr}.items(), strict=True):
    logits = adversary.discriminator(sr.images.to_float(image)[None], training=True)
    probability = ops.sigmoid(logits)[0, ..., 0]
    shown = ax.imshow(probability, cmap="RdBu", vmin=0, vmax=1)
    ax.set_title(f"{name}: mean {float(ops.mean(probability)):.2f}", fontsize=10)
    ax.set(xticks=[], yticks=[])
fig.colorbar(shown, ax=axes, label="probability of a photo")
plt.show()

# %% [markdown]
# It is sure of the HR photo, and rejects the results of L1. Of the generator that it was trained against, it takes most of the
# interior for a photo, although in training it told nearly all of its images from photos. It rejects the border of every
# generated image, where the convolutions of the generator see padding, but not that of the HR photo. A training patch is only
# 16 logits wide, and a border of three logits is more than half of it. So a part of the low loss in training comes from
# recognizing the padding, and not the texture. That is not all of it: even with a border of that share, a loss on this photo
# would be far higher than in training. The discriminator has probably learned its training stones by heart, too.
#
# ### Version 3: a content loss
#
# The third version adds a content loss, which compares the VGG19 features of both images (`VGG54` is the fourth and last
# convolution of the fifth block). Features ask for the right structure in roughly the right place, not for the right value of
# every pixel.

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
# Only one method changed. The package's `GAN` has the same parts, and with the same terms its loss must equal ours. Here we use
# the discriminator of SRGAN, which ends in dense layers and returns one logit for the whole patch.

# %%
discriminator = sr.models.srgan_discriminator(size=hr_batch.shape[1], filters=8)
third = WithContent(pretrained(), discriminator)
gan = GAN(third.generator, discriminator)
gan.compile(
    keras.optimizers.Adam(1e-4),
    keras.optimizers.Adam(1e-4),
    losses=[(1.0, "l1"), (1e-2, content)],
    adversarial_weight=5e-3,
    run_eagerly=here.steps < 10,
)
fake = third.generator(lr_batch)
real_logits = gan.discriminate(hr_batch, lr_batch)  # a list, one for each output
fake_logits = gan.discriminate(fake, lr_batch)
terms = gan.generator_losses(lr_batch, hr_batch, fake, real_logits, fake_logits)
package = sum(weight * value for weight, value in terms.values())
by_hand = third.image_loss(hr_batch, fake) + 5e-3 * generator_loss(fake_logits[0])
np.testing.assert_allclose(by_hand, package, rtol=1e-3)
print("by hand", round(float(by_hand), 4), "package", round(float(package), 4))

# %% [markdown]
# From here on we use the package's class. It adds what long training needs: several discriminator steps per generator step, loss
# scaling (lesson 15), warnings and saving. It logs each term without its weight, as a mean over the epoch. (*Two ways to fail* explains
# `overpowered_steps`.)

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
# A weight means nothing without the size of the term that it multiplies. We take the recipe of a shipped SRGAN: L1, four layers
# of VGG19 before their ReLU, and the adversarial loss. Its generator is the EDSR-baseline with 64 filters and 16 blocks, and its
# discriminator a U-Net, which returns a logit for each pixel. **Predict:** which term is the largest after weighting? And which
# has the largest gradient?

# %%
recipe = sr.training.RECIPES["edsr-x4-photos-srgan"]
(l1_weight, _), (_, (_, perceptual)) = recipe.losses
terms_of_recipe = [(l1_weight, "l1")]
for layer, weight in perceptual["content"].items():
    term = sr.losses.Content(
        layer, perceptual["distance"], vgg_weights=vgg, name=layer.split("/")[1]
    )
    terms_of_recipe.append((weight, term))
keras.utils.set_random_seed(0)
large_gan = GAN(
    sr.models.load("edsr-x4-bsds"),
    sr.models.unet_discriminator(**recipe.discriminator_options),
)
large_gan.compile(
    keras.optimizers.Adam(1e-4),
    keras.optimizers.Adam(1e-4),
    losses=terms_of_recipe,
    adversarial_weight=recipe.adversarial_weight,
)

# %%
fake = large_gan(lr_batch)
logits = [large_gan.discriminate(x, lr_batch) for x in (hr_batch, fake)]
terms = large_gan.generator_losses(lr_batch, hr_batch, fake, *logits)
norms = large_gan.gradient_norms(lr_batch, hr_batch)
values = {name: float(weight * value) for name, (weight, value) in terms.items()}
gradients = {name: terms[name][0] * norm for name, norm in norms.items()}

fig, axes = plt.subplots(1, 2, figsize=(11, 2.6), layout="constrained", sharey=True)
for ax, numbers in zip(axes, (values, gradients), strict=True):
    bars = ax.barh(list(numbers), list(numbers.values()), color="#0072B2")
    ax.bar_label(bars, fmt="%.2g", padding=3)
    ax.margins(x=0.15)
axes[0].set(xlabel="weight x loss")
axes[1].set(xlabel="weight x norm of the gradient with respect to SR")
axes[0].invert_yaxis()
plt.show()

# %% [markdown]
# With VGG19's weights, two of its layers are the largest terms, and they dominate the gradient even more. The adversarial term
# is the smallest, and against a new discriminator its gradient is by far the smallest, too. The L1 term preserves the colours.
# SRGAN's paper has no such term, and trains for far longer.
#
# But a discriminator does not stay new. These are the gradients that we recorded on gravel, with the weights of that training, 1
# for L1 and 0.005 for the adversarial term. **Predict:** which of the two curves will be flat?

# %%
fig, ax = plt.subplots(figsize=(7.5, 2.8), layout="constrained")
for name, weight in (("l1", 1.0), ("adversarial_loss", adversary.weight)):
    curve = [weight * norms[name] for norms in norms_on_stones.values()]
    ax.semilogy(list(norms_on_stones), curve, "o-", label=name)
    print(f"{name:17} first step {curve[0]:.6f}, last measured step {curve[-1]:.6f}")
ax.set(xlabel="step", ylabel="weight x norm of the gradient")
ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# The curve of L1 is flat: the gradient of a mean absolute error is plus or minus $1/n$ for each of $n$ numbers, so its norm is
# always $1/\sqrt{n}$. The adversarial curve begins 30 times lower, passes L1 near step 70, and is twice as high in the end. The
# same weight is small in the first steps and decisive in the last ones. (These norms are taken at the pixels. In the weights,
# the signs of L1 partly cancel, and the adversarial term counts for more: at the last kernel of EDSR, a new discriminator had a
# fifteenth of L1's gradient, and at the pixels a six-hundredth.) So judge weights during training, against a discriminator that
# has learned something. (The package's `GAN` logs these norms with `log_gradient_norms=True`.)

# %% [markdown]
# ### Optional: changing the objective
#
# Least squares (LSGAN; Mao and others, 2016) replaces the cross-entropy: the output of the discriminator should be 1 for real
# images and 0 for fakes, and it is not passed through a sigmoid. Two methods are overridden. (Here and below we reuse the
# discriminator from above. It was trained with another loss, so its first losses say little.)


# %%
class LeastSquares(GAN):
    def adversarial_loss(self, real, fake):
        return ops.mean((fake - 1) ** 2)

    def discriminator_loss(self, real, fake):
        return ops.mean((real - 1) ** 2) + ops.mean(fake**2)


squares = LeastSquares(pretrained(), discriminator)
squares.compile("adam", "adam", losses=[(1.0, "l1")], run_eagerly=True)
logs = squares.train_on_batch(lr_batch, hr_batch, return_dict=True)
print({name: round(float(value), 4) for name, value in logs.items()})

# %% [markdown]
# ## SRGAN after training
#
# The shipped `edsr-x4-photos-srgan` started from `edsr-x4-bsds` and was trained with the recipe above for 3,600 steps. (The
# first 1,963 had the learning rates of a longer schedule.) We call it SRGAN for short, although only its adversarial loss is
# SRGAN's: its discriminator is that of Real-ESRGAN, and it compares features before the ReLU, as ESRGAN does. We compare the
# two networks on fur, hair, gravel and bricks, in photos on which neither was trained. (Fur and hair helped to choose this
# network among four attempts, so their scores are slightly optimistic.) **Predict:** which has the higher PSNR? Which looks
# sharper? Is there a motif on which SRGAN does harm?

# %%
motifs = {
    "fur": data.chelsea()[:300, :448],
    "hair": data.astronaut()[:240, 100:340],
    "gravel": gravel[:256, :256],
    "bricks": np.repeat(data.brick()[:256, :256, None], 3, axis=-1),
}
networks = {
    "bicubic": sr.models.bicubic(scale),
    "L1": load("edsr-x4-bsds"),
    "SRGAN": load("edsr-x4-photos-srgan"),
}
lr_images = {
    motif: sr.degradations.Downscale(scale)(hr) for motif, hr in motifs.items()
}
upscaled = {
    motif: {
        name: sr.upscale(network, lr, tile=None) for name, network in networks.items()
    }
    for motif, lr in lr_images.items()
}

# %%
sr.plotting.comparison(
    {**upscaled["fur"], "HR": motifs["fur"]},
    captions(motifs["fur"], upscaled["fur"]),
    (150, 60, 120, 150),  # top, left, height and width in HR pixels
    title=title,
    whole=False,
)

# %%
sr.plotting.comparison(
    {**upscaled["hair"], "HR": motifs["hair"]},
    captions(motifs["hair"], upscaled["hair"]),
    (10, 80, 120, 150),
    title=title,
    whole=False,
)

# %% [markdown]
# L1 draws smooth tufts and smooth waves. Where many fine details are compatible with the LR image, their mean has the smallest
# squared error and their median the smallest absolute error, and both are smooth. The content loss and the discriminator
# penalize smoothness, so SRGAN draws other detail. In the hair it draws short strands that follow the direction of the real
# ones, but few can be matched with a hair in the HR photo. In the fur it draws mostly grain: the dark strokes of the HR photo
# are still missing, and the whiskers are fainter than in L1. From a distance the result looks sharper, and at this size also
# noisier.
#
# Is it only contrast? Lesson 7 showed that sharpening alone can lower a perceptual loss. So we add a control to the third motif:
# the L1 image, sharpened until it has as much fine contrast as that of SRGAN. **Predict:** how much of the gain in LPIPS does the
# control reach?


# %%
def fine_detail(image):
    image = sr.images.to_float(image)
    return image - ndimage.gaussian_filter(image, (1.5, 1.5, 0))


def sharpened_like(image, model):
    """Returns an image with the fine contrast of another, by unsharp masking."""
    strengths = np.linspace(0, 3, 61)
    candidates = [
        sr.images.to_integer(sr.images.to_float(image) + s * fine_detail(image))
        for s in strengths
    ]
    contrasts = [fine_detail(candidate).std() for candidate in candidates]
    return candidates[np.argmin(np.abs(contrasts - fine_detail(model).std()))]


# %%
for pictures in upscaled.values():
    pictures["L1, sharpened"] = sharpened_like(pictures["L1"], pictures["SRGAN"])
order = ("bicubic", "L1, sharpened", "L1", "SRGAN")
gravel_results = {name: upscaled["gravel"][name] for name in order}
sr.plotting.comparison(
    {"LR": lr_images["gravel"], **gravel_results, "HR": motifs["gravel"]},
    captions(motifs["gravel"], gravel_results),
    (60, 90, 120, 117),
    columns=3,
    title=title,
    whole=False,
)

# %% [markdown]
# The control reaches none of it: its stones look polished, and its LPIPS is as high as before. SRGAN halves the distance. Its
# stones are rough and have broken edges. But compare them one by one with the HR photo. Large stones have the right outline.
# Where the stones are small, as along the left edge, SRGAN draws grit instead.
#
# The following table has all four motifs. *NIQE* (lower means more natural) needs no HR image. *LR-PSNR* compares the result,
# scaled down again, with the LR image: has something been changed that was known? *Grid* is the share of the difference from L1
# that repeats every four pixels, which is the trace of the pixel shuffle (lesson 4).


# %%
def print_scores(motif, name, image, start=None):
    hr, lr = motifs[motif], lr_images[motif]
    psnr, distance = scores_of(hr, image)
    niqe, lr_psnr = sr.quality.niqe(image, 4), sr.quality.lr_psnr(lr, image)
    line = f"{motif:8}{name:14} {psnr:.2f}  {distance:.3f}  {niqe:5.2f}  {lr_psnr:6.1f}"
    if start is not None:  # what the training began from
        grid = sr.quality.grid_energy(image.astype(float) - start)[4]
        line += f"  {grid:6.1%}"
    print(line)


print(f"{'':22} PSNR   LPIPS   NIQE  LR-PSNR   grid")
for motif, results in upscaled.items():
    for name in order:
        start = results["L1"] if name == "SRGAN" else None
        print_scores(motif, name, results[name], start)
    print(f"{motif:8}{'HR':14} {sr.quality.niqe(motifs[motif], 4):20.2f}")

# %% [markdown]
# On every motif SRGAN has a lower PSNR than L1, by 0.8 dB on fur and hair, by 1.6 dB on gravel and by 2.5 dB on bricks. On fur,
# hair and gravel its LPIPS is about half of that of L1 (59% on fur), while sharpening changes it by at most 0.02. NIQE falls as
# well. The LR-PSNR falls by 3 to 8 dB, and on gravel it ends below the 45 dB that the NTIRE challenges on the super-resolution
# space (2021, 2022) required. The grid is at most 1.6% of the change.
#
# The bricks are the exception. Here SRGAN is worse than L1 in LPIPS, too. (NIQE is of no use here: it rates the HR photo as the
# worst.) Let us see why.

# %%
bricks = upscaled["bricks"]
difference = bricks["SRGAN"].astype(float) - bricks["L1"]
amplified = sr.images.to_integer(np.clip(0.5 + 8 * difference / 255, 0, 1))
shown = {"SRGAN": bricks["SRGAN"], "HR": motifs["bricks"]}
shown["SRGAN minus L1, x8"] = amplified
sr.plotting.comparison(
    shown, crop=(60, 60, 120, 117), columns=3, title="Bricks, x4", whole=False
)

# %% [markdown]
# The largest differences lie along the mortar, whose edges SRGAN draws with overshoots. They cost most of the PSNR. The bricks
# are smooth, and SRGAN covers them with a faint stipple. It may have learned that photos have grain, and it cannot tell a surface
# whose grain was lost from one that has none.
#
# In the paper, after 200,000 steps, viewers gave SRGAN 3.56 of 5 points on BSD100, and SRResNet, which has 2.4 dB more PSNR, 2.29.
#
# ### The same losses without a discriminator
#
# SRGAN differs from L1 in its losses on features, too. What does the discriminator add? The recipe was repeated without one, for
# 2,000 steps.
#
# ![Without a discriminator](figures/10_film.jpg)
#
# The features alone bring about nine tenths of the gain in LPIPS: on Set14 from 0.284 to 0.164, where SRGAN has 0.149. (The
# control was trained for 2,000 steps, SRGAN for 3,600, one run of each, so the shares are approximate.) But they draw a grid of
# four pixels, faint after 500 steps and plain after 2,000. On gravel it is 31% of the change; with SRGAN it is 1.2%. VGG19
# takes a grid for texture. The discriminator rejects it, and the generator learns grain instead: NIQE falls from 6.6 to 4.8.

# %% [markdown]
# ### Optional: interpolating between both
#
# Two networks of the same architecture, one of them fine-tuned from the other, can be blended weight by weight
# (`sr.models.blend`, lesson 7). The idea is ESRGAN's. It needs no training, and the user chooses how much may be invented:
# `sr.models.load("edsr-x4-photos-srgan", detail=0.5)` loads the blend of SRGAN and the network that it started from. **Predict:**
# which amount has the best PSNR, and which the best LPIPS?

# %%
amounts = (0, 0.25, 0.5, 0.75, 1)
blends = {}
for amount in amounts:
    network = sr.models.load("edsr-x4-photos-srgan", detail=amount)
    blends[f"detail={amount:g}"] = sr.upscale(network, lr_images["gravel"], tile=None)
half = sr.models.blend(networks["L1"], networks["SRGAN"], 0.5)
same = sr.upscale(half, lr_images["gravel"], tile=None)
np.testing.assert_array_equal(same, blends["detail=0.5"])

fig, ax = plt.subplots(figsize=(5.5, 3), layout="constrained")
points = np.array([scores_of(motifs["gravel"], image) for image in blends.values()])
ax.plot(points[:, 0], points[:, 1], "o-", color="#0072B2")
for amount, point in zip(amounts, points, strict=True):
    ax.annotate(f"{amount:g}", point, (6, 4), textcoords="offset points")
ax.set(xlabel="PSNR (dB), higher is better", ylabel="LPIPS, lower is better")
ax.set_title("Gravel: how much of SRGAN is blended in", fontsize=10)
plt.show()

# %%
chosen = {name: blends[name] for name in ("detail=0.5", "detail=0.75", "detail=1")}
sr.plotting.comparison(
    chosen,
    captions(motifs["gravel"], chosen),
    (60, 90, 120, 117),
    columns=3,
    title=title,
    whole=False,
)

# %% [markdown]
# A blend of three quarters brings 82% of the gain in LPIPS, and costs only 0.7 of the 1.6 dB. To the eye, most of the rough
# surface appears in the last quarter. (This is a good place for a break.)

# %% [markdown]
# ## ESRGAN: three changes
#
# ESRGAN (Wang and others, 2018) changes three parts of SRGAN: the generator, the question that the discriminator answers, and the
# place where features are compared.
#
# ### The generator: dense blocks inside residual blocks
#
# The generator is called RRDB (residual in residual dense block). Like EDSR it has no batch normalization. In a *dense block*,
# each convolution sees the outputs of all convolutions before it. The output is multiplied by 0.2 before it is added to the
# input, which keeps a deep network stable (lesson 8). Three dense blocks form one RRDB block, with another skip connection around
# them:
#
# ![An RRDB block](figures/10_rrdb.svg)
#
# *In the frame is a dense block. C joins channels, and a dot marks where a line branches. The network has 23 of these blocks.*
#
# By hand:


# %%
def dense_block(inputs, filters, growth):
    x, maps = inputs, [inputs]
    for _ in range(4):
        x = layers.Conv2D(growth, 3, padding="same")(x)
        maps.append(layers.LeakyReLU(0.2)(x))
        x = layers.Concatenate()(maps)
    x = layers.Conv2D(filters, 3, padding="same")(x)
    return layers.Add()([inputs, layers.Rescaling(0.2)(x)])


def rrdb_block(filters, growth):
    inputs = x = keras.Input((None, None, filters))
    for _ in range(3):
        x = dense_block(x, filters, growth)
    return keras.Model(inputs, layers.Add()([inputs, layers.Rescaling(0.2)(x)]))


rrdb = sr.models.rrdb(scale, filters=8, num_blocks=1, growth=4)
ends = [rrdb.get_layer(name).output for name in ("head", "block_0_skip")]
of_package = keras.Model(*ends)
of_ours = rrdb_block(8, 4)
of_ours.set_weights(of_package.get_weights())
features = rng.normal(size=(1, 12, 12, 8)).astype("float32")
np.testing.assert_allclose(of_ours(features), of_package(features), atol=1e-5)

# %% [markdown]
# ### The discriminator: more realistic than?
#
# ESRGAN's discriminator is *relativistic*. It does not ask "is this a photo?" but "is this photo *more realistic than the
# fakes*?" From each logit, the mean logit of the other kind is subtracted. With logits $C(x)$ of photos $x$ and $C(\hat{x})$ of
# fakes $\hat{x}$, and the sigmoid $\sigma$:
#
# $$L_D = -\log \sigma\big(C(x) - \mathrm{mean}\,C(\hat{x})\big) - \log\Big(1 - \sigma\big(C(\hat{x}) - \mathrm{mean}\,C(x)\big)\Big)$$

# %%
photo_logits = np.array([[3.0], [2.0]], "float32")
sr_logits = np.array([[1.0], [-1.0]], "float32")


def relative_loss(real_logits, fake_logits):
    return discriminator_loss(
        real_logits - ops.mean(fake_logits), fake_logits - ops.mean(real_logits)
    )


relativistic = RelativisticGAN(pretrained(), discriminator)
package = relativistic.discriminator_loss(photo_logits, sr_logits)
np.testing.assert_allclose(relative_loss(photo_logits, sr_logits), package, rtol=1e-5)

# %% [markdown]
# **Predict:** suppose the discriminator adds 5 to every logit, those of photos and those of fakes. Which of the two losses
# changes?

# %%
for shift in (0, 5):
    plain = float(discriminator_loss(photo_logits + shift, sr_logits + shift))
    relative = float(relative_loss(photo_logits + shift, sr_logits + shift))
    print(f"logits + {shift}: standard {plain:.3f}, relativistic {relative:.3f}")

# %% [markdown]
# The relativistic loss depends only on differences of logits. The loss of the generator is the same with exchanged roles: its
# fakes should be more realistic than the photos. It has one term with the logits of the photos and one with those of the fakes,
# so photos take part in the training of the generator.
#
# ### The content loss: before the ReLU
#
# SRGAN compares features after the ReLU, and ESRGAN before it. Lesson 7 counted that after the ReLU, most features of this layer
# are zero. What does that mean for training? Where a feature of the *fake* is zero, the gradient of the loss is zero as well,
# even if the photo has the feature. **Predict:** which share of the features that the photo has get a gradient?

# %%
extract = sr.features.FeatureExtractor(["VGG54/before_relu"], vgg)
(photo_features,) = extract(motifs["fur"][None])
(l1_features,) = extract(upscaled["fur"]["L1"][None])


def gradient_of_loss(activation):
    """Returns the gradient of the mean absolute difference of activated features."""
    with tf.GradientTape() as tape:
        tape.watch(l1_features)
        change = activation(l1_features) - activation(photo_features)
        loss = tf.reduce_mean(tf.abs(change))
    return np.asarray(tape.gradient(loss, l1_features))


present = np.asarray(photo_features) > 0
print(f"features that the photo has: {present.mean():.1%} of all")
for name, activation in {"after": tf.nn.relu, "before": tf.identity}.items():
    reached = gradient_of_loss(activation)[present] != 0
    print(f"{name} the ReLU, {reached.mean():.0%} of them get a gradient")

# %% [markdown]
# Only one in eleven features of the photo is positive. After the ReLU, almost half of them give no gradient, so the loss asks
# for this structure only through the others. Before the ReLU, every feature has a gradient, also those that are not positive in
# the photo. The paper gives a second reason: features after the ReLU led to images of the wrong brightness.
#
# ### All three together
#
# In the package this is one call. (ESRGAN's weight of 1 for the content loss belongs to a VGG19 with differently scaled inputs;
# 0.05 corresponds to it here.)

# %%
keras.utils.set_random_seed(0)
esrgan = RelativisticGAN(sr.models.load("rrdb-x4-bsds-small"), discriminator)
esrgan.compile(
    keras.optimizers.Adam(1e-4),
    keras.optimizers.Adam(1e-4),
    losses=[
        (0.05, sr.losses.Content("VGG54/before_relu", "l1", vgg_weights=vgg)),
        (1e-2, "l1"),
    ],
    adversarial_weight=5e-3,
    run_eagerly=True,
)
logs = esrgan.train_on_batch(lr_batch, hr_batch, return_dict=True)
print({name: round(float(value), 4) for name, value in logs.items()})

# %% [markdown]
# The package ships a small ESRGAN, `rrdb-x4-bsds-esrgan`, which started from the same `rrdb-x4-bsds-small`. It has two of the
# three changes: its features are those after the ReLU. Its adversarial weight is 0.0005, a twentieth of SRGAN's, so most of
# what you will see comes from the content loss. The pictures do not compare two methods, because this network differs from the
# SRGAN above in size and training: it has 225 thousand weights instead of 1.5 million, and was trained for 800 steps instead of
# 3,600, on fewer photos. Compare it with its own start. **Predict:** what will 800 steps have added to hair and gravel?

# %%
of_esrgan = {
    "RRDB, L1": load("rrdb-x4-bsds-small"),
    "ESRGAN, small": load("rrdb-x4-bsds-esrgan"),
}
for motif, lr in lr_images.items():
    for name, network in of_esrgan.items():
        upscaled[motif][name] = sr.upscale(network, lr, tile=None)

three = ("SRGAN", "RRDB, L1", "ESRGAN, small")
hair_results = {name: upscaled["hair"][name] for name in three}
sr.plotting.comparison(
    {**hair_results, "HR": motifs["hair"]},
    captions(motifs["hair"], hair_results),
    (10, 80, 120, 150),
    columns=2,
    title=title,
    whole=False,
)

# %%
print(f"{'':22} PSNR   LPIPS   NIQE  LR-PSNR   grid")
starts = {"SRGAN": "L1", "RRDB, L1": None, "ESRGAN, small": "RRDB, L1"}
for motif, results in upscaled.items():
    for name, start_name in starts.items():
        print_scores(motif, name, results[name], results.get(start_name))

gravel_results = {name: upscaled["gravel"][name] for name in three}
sr.plotting.comparison(
    {**gravel_results, "HR": motifs["gravel"]},
    captions(motifs["gravel"], gravel_results),
    (60, 90, 120, 117),
    columns=2,
    title=title,
    whole=False,
)

# %% [markdown]
# Not much. On gravel the stones have more contrast, and LPIPS falls from 0.32 to 0.22. On hair it falls by only 0.03, because
# there are horizontal streaks instead of hairs, and on bricks it rises. The colours have shifted: the grey stones and the
# background of the portrait are violet, and LR-PSNR has fallen by 9 to 15 dB. The SRGAN has no such cast. Its content terms are
# together a few times as large as L1, and here each layer alone is 5 to 25 times as large. (It was also trained for longer, so
# we cannot separate the two causes.)
#
# Whichever of these networks you use: a discriminator cannot read, and it does not know what was in front of the camera. It only
# learns whether a patch resembles photos. Never use a GAN where details are evidence (lesson 13).
#
# ## What a discriminator sees
#
# Three kinds of discriminators are common. SRGAN's returns one logit for a whole patch. A PatchGAN returns a map of logits:
#
# ![PatchGAN](figures/10_patchgan.svg)
#
# The U-Net of Real-ESRGAN returns one logit for each pixel, computed from its surroundings:
#
# ![The U-Net discriminator](figures/10_unet.svg)
#
# *Yellow boxes enlarge the maps and apply a convolution with a LeakyReLU.*

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
# ### Does it fit the input?
#
# None of these discriminators sees the LR image. A generator could return a perfect photo of something else, and they would
# accept it. In SRGAN, the content loss ties the result to its input, and in our version the pixel loss does so as well. The
# alternative is a *conditional* discriminator, as in pix2pix (Isola and others, 2017), which sees both images.
#
# We return to the discs, now with LR images of 4 x 4 pixels. Both discriminators see real discs only. In half of the pairs the LR
# image belongs to the disc, and in the other half to another one. **Predict:** what loss will the discriminator without the LR
# image reach?


# %%
def pairs_of_discs(count):
    """Returns discs, LR images, and labels: 1 where both fit, then 0."""
    hr = discs(count)
    lr = hr.reshape(count, 4, 4, 4, 4, 1).mean(axis=(2, 4))
    labels = np.repeat(np.array([1.0, 0.0], "float32"), count)
    lr_of_others = np.roll(lr, 1, axis=0)
    return np.concatenate([hr, hr]), np.concatenate([lr, lr_of_others]), labels


def conditional_discriminator():
    image, lr = keras.Input((16, 16, 1)), keras.Input((4, 4, 1))
    x = layers.Concatenate()([image, layers.UpSampling2D(4)(lr)])
    for filters in (16, 32):
        x = layers.Conv2D(filters, 4, strides=2, padding="same")(x)
        x = layers.LeakyReLU(0.2)(x)
    return keras.Model([image, lr], layers.Dense(1)(layers.Flatten()(x)))


# %%
keras.utils.set_random_seed(0)
hr_discs, lr_discs, labels = pairs_of_discs(2000)
new_hr, new_lr, new_labels = pairs_of_discs(1000)
unconditional, conditional = dcgan_discriminator(), conditional_discriminator()
for network in (unconditional, conditional):
    network.compile(keras.optimizers.Adam(2e-3), cross_entropy)
unconditional.fit(hr_discs, labels, batch_size=64, epochs=here.epochs, verbose=0)
conditional.fit(
    [hr_discs, lr_discs], labels, batch_size=64, epochs=here.epochs, verbose=0
)
print("loss on new pairs (guessing: log 2 = 0.693)")
print("without LR:", round(unconditional.evaluate(new_hr, new_labels, verbose=0), 3))
losses_of_pairs = conditional.evaluate([new_hr, new_lr], new_labels, verbose=0)
print("with LR:   ", round(losses_of_pairs, 3))

# %% [markdown]
# Without the LR image, the discriminator can only guess, because the same discs occur in both halves. With it, the discriminator
# learns to compare positions. The package's `GAN` passes `[images, lr]` to any discriminator with two inputs.

# %% [markdown]
# ## Optional: train the discriminator first
#
# A generator that was trained on pixels is already good, while a new discriminator knows nothing. So we train the discriminator
# alone until it does better than guessing: with `discriminator_warmup_loss=1.3`, the generator is only trained in steps in which
# the loss of the discriminator is at most 1.3.
#
# The generator can be any network. Here it is the U-Net of lesson 6, and the damage is that of lesson 7, which leaves the
# discriminator more to find. **Predict:** in how many of the steps will the generator wait?

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
    run_eagerly=here.discriminator < 10,
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
history = unet_gan.fit(
    pairs, steps_per_epoch=here.discriminator, callbacks=[recorder], verbose=0
)

# %%
fig, ax = plt.subplots(figsize=(7.5, 2.6), layout="constrained")
d_losses = np.array(recorder.losses)
steps = np.arange(len(d_losses))
trained = np.diff(recorder.generator_steps, prepend=0) > 0
ax.plot(steps, d_losses, color="0.7")
waits = {"generator waits": (~trained, "#0072B2"), "both train": (trained, "#D55E00")}
for name, (chosen_steps, color) in waits.items():
    ax.plot(steps[chosen_steps], d_losses[chosen_steps], "o", color=color, label=name)
ax.axhline(2 * np.log(2), color="0.4", linestyle="--", label="guessing")
ax.axhline(1.3, color="0.4", linestyle=":", label="1.3, the threshold")
ax.set(xlabel="step", ylabel="discriminator loss")
ax.legend(frameon=False, fontsize=8)
plt.show()
print("steps in which the generator trained:", int(trained.sum()), "of", len(trained))

# %% [markdown]
# In our run the discriminator guesses for more than a third of the time, then slowly finds a difference. Past the middle the
# generator is trained for the first time. Where the loss rises above the threshold again, it waits. Only near the end are both
# trained in every step.
#
# The rule exists because the gradient of a discriminator that guesses carries no information. Without the rule the U-Net would
# follow that gradient anyway.

# %% [markdown]
# ## Two ways to fail
#
# GAN training fails in two typical ways, and both happen with our discs if the learning rates are far out of balance. First the
# generator learns 25 times faster than the discriminator, then the discriminator 20 times faster than the generator. **Predict:**
# what will the images look like, and what will the loss of the discriminator be?


# %%
def play(generator, discriminator, g_rate, d_rate, steps=here.failed):
    """Trains both; returns the losses of the discriminator, and four sets of images."""
    step = make_train_step(generator, discriminator, g_rate, d_rate)
    d_losses, images = [], {}
    for i in range(1, steps + 1):
        noise = rng.normal(size=(64, 8)).astype("float32")
        d_losses.append(float(step(discs(64), noise)[1]))
        if i % (steps // 4) == 0:
            images[f"step {i}"] = generator(fixed_noise).numpy()
    return d_losses, images


# %%
failures, players = {}, {}
rates = {"fast generator": (5e-3, 2e-4), "fast discriminator": (1e-4, 2e-3)}
for name, (g_rate, d_rate) in rates.items():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    players[name] = dcgan_generator(), dcgan_discriminator()
    failures[name] = play(*players[name], g_rate, d_rate)

# %%
fig, axes = plt.subplots(
    5, 2, figsize=(11, 5.2), layout="constrained", height_ratios=[2, 1, 1, 1, 1]
)
for column, (name, (d_losses, images)) in zip(axes.T, failures.items(), strict=True):
    column[0].plot(d_losses)
    column[0].axhline(2 * np.log(2), color="0.4", linestyle="--", label="guessing")
    column[0].set(title=name, xlabel="step", ylabel="discriminator loss")
    column[0].legend(frameon=False, fontsize=8)
    for ax, (step, strip) in zip(column[1:], images.items(), strict=True):
        draw_strip(ax, strip)
        ax.set_ylabel(step, rotation=0, ha="right", va="center")
plt.show()

# %% [markdown]
# On the left is *mode collapse*. The peaks of a distribution are called *modes*, and a generator that has collapsed produces
# only one or a few of them: ten different noise vectors give nearly the same image. Whatever single image the discriminator
# likes best at the moment, the generator has found it long before the discriminator has learned to reject it. Then the
# generator moves to another one, and so the image changes from row to row. The loss of the discriminator swings from far below
# guessing to far above it, and does not show that the samples are all alike. Only a look at many samples does.
#
# On the right is an *overpowering discriminator*. Its loss is near 0 from the start: it is always right, and certain. The
# generator changes its images all the time, but they do not become discs. (They are alike, too, so the pictures alone do not tell
# the two failures apart.)
#
# | | mode collapse | overpowering discriminator |
# |---|---|---|
# | loss of the discriminator | around guessing, often swinging | near 0 for a long time |
# | samples | all alike, or a few kinds, and they change as training goes on | no resemblance to the data, no progress |
# | who is ahead | the generator | the discriminator |
# | what helps | a slower generator, more discriminator steps, a loss that compares with HR | a slower or smaller discriminator, `discriminator_min_loss`, spectral normalization |
#
# In super-resolution, the pixel and content losses prevent a complete collapse: every LR image has its own HR image. What may
# remain of it is the same texture everywhere, such as the fine lines on our stones.
#
# Why does the generator not learn from a discriminator that is right? We measure the gradient with respect to the images, of
# `-log D` and of the loss in the first GAN paper, `log(1 - D)`:

# %%
for name, (generator, discriminator_of_discs) in players.items():
    images = generator(fixed_noise)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(images)
        d_of_fakes = tf.sigmoid(discriminator_of_discs(images))
        losses_of_g = {
            "-log D": -tf.reduce_mean(tf.math.log(d_of_fakes)),
            "log(1 - D)": tf.reduce_mean(tf.math.log(1 - d_of_fakes)),
        }
    print(f"{name}: mean D of fakes {float(tf.reduce_mean(d_of_fakes)):.5f}")
    for loss_name, value in losses_of_g.items():
        print(
            f"  gradient of {loss_name:10} {np.linalg.norm(tape.gradient(value, images)):.5f}"
        )

# %% [markdown]
# Against the fast discriminator, the gradient of `log(1 - D)` has almost vanished, although the generator has everything to
# learn. This is why GANs use `-log D` (exercise 3). Its gradient does not vanish, and is even the largest of all. But this
# gradient still has to pass through the generator's last sigmoid. Where a pixel is black, the derivative of the sigmoid is
# almost 0, so very little arrives at the weights, and following it for 400 steps led to black squares.
#
# ### Spectral normalization
#
# Nothing limits how fast the logit of a discriminator changes with the image. *Spectral normalization* (Miyato and others, 2018)
# does. A layer with kernel matrix $W$ can stretch the difference of two inputs at most by the largest singular value $\sigma(W)$.
# Divided by it, the layer cannot stretch any difference, and neither can the ReLUs between the layers. So the logits of two
# images differ by no more than the distance between the images.
#
# The largest singular value need not be computed anew in each step. *Power iteration* multiplies a vector by $W$ and $W^T$ in
# turn, which turns it towards the direction that is stretched the most. Since the weights change slowly, one iteration in each
# training step is enough:

# %%
kernel = rng.normal(size=(8, 16)).astype("float32")
direction = rng.normal(size=16)
for i in range(1, 51):
    stretched = kernel @ direction
    direction = kernel.T @ (stretched / np.linalg.norm(stretched))
    direction /= np.linalg.norm(direction)
    if i in (1, 5, 20, 50):
        print(f"{i:2} iterations: {np.linalg.norm(kernel @ direction):.4f}")
largest = np.linalg.svd(kernel)[1][0]
print(f"SVD:           {largest:.4f}")

dense = layers.SpectralNormalization(layers.Dense(16, use_bias=False))
dense.build((None, 8))
dense.layer.kernel.assign(kernel)
for _ in range(50):
    dense(np.zeros((1, 8), "float32"), training=True)  # one iteration each
np.testing.assert_allclose(dense.layer.kernel, kernel / largest, rtol=1e-3)

# %% [markdown]
# Keras has it as a wrapper. Unlike the paper, the wrapper replaces the kernel by the normalized one at the start of each
# training step, so no gradient passes through the division. (For a convolution, Keras flattens the kernel to a matrix, as the
# paper does, which limits the stretching only approximately.)
#
# Its effect is easiest to see for single numbers. We train two discriminators on real numbers around 2 and fixed fakes around 0,
# one of them with spectral normalization, and draw their logits. **Predict:** how far apart can the logits at 0 and at 2 be with
# spectral normalization?


# %%
def number_discriminator(wrap):
    return keras.Sequential(
        [
            keras.Input((1,)),
            wrap(layers.Dense(16, "relu")),
            wrap(layers.Dense(16, "relu")),
            wrap(layers.Dense(1)),
        ]
    )


numbers = rng.normal(size=(8000, 1)) * 0.3
is_real = np.arange(8000)[:, None] % 2
numbers = (numbers + 2 * is_real).astype("float32")
axis = np.linspace(-1, 3, 200, dtype="float32")[:, None]
logits_of = {}
for name, wrap in {
    "without": lambda layer: layer,
    "with spectral normalization": layers.SpectralNormalization,
}.items():
    keras.utils.set_random_seed(0)
    network = number_discriminator(wrap)
    network.compile(keras.optimizers.Adam(5e-3), cross_entropy)
    network.fit(numbers, is_real, batch_size=64, epochs=here.epochs, verbose=0)
    logits_of[name] = network.predict(axis, verbose=0)

# %%
fig, axes = plt.subplots(1, 2, figsize=(11, 2.8), layout="constrained")
for name, logits in logits_of.items():
    axes[0].plot(axis, logits, label=name)
    axes[1].plot(axis, ops.sigmoid(logits), label=name)
    slope = np.max(np.abs(np.diff(logits[:, 0]) / np.diff(axis[:, 0])))
    print(f"{name}: steepest slope of the logit {slope:.2f}")
axes[0].set(xlabel="number", ylabel="logit")
axes[1].set(xlabel="number", ylabel="D")
for ax in axes:
    ax.axvspan(-0.6, 0.6, color="#D55E00", alpha=0.15, label="fakes")
    ax.axvspan(1.4, 2.6, color="#009E73", alpha=0.15, label="real")
axes[0].legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# Without it, nothing limits how steep the discriminator becomes. $D$ is nearly 0 for all fakes and nearly 1 for all real
# numbers, and the logit rises by up to 18 for each unit. With spectral normalization the slope is about 1 everywhere, so the
# logits at 0 and at 2 are about 2 apart. (It is slightly above 1 because Keras normalizes at the start of a training step, and
# the optimizer's last update came after that.) $D$ rises gently from the fakes to the real numbers. Here it is certain of none
# of these numbers, and it has a slope everywhere between the fakes and the real numbers.
#
# Does it restrain an overpowering discriminator of discs? The generator above was very slow. So that there is something to see,
# both networks learn faster now, the discriminator five times as fast as the generator, and for twice as many steps. Everything is
# repeated with other random seeds. **Predict:** which rows will show discs, and which first?


# %%
def spectral_discriminator():
    normalized = layers.SpectralNormalization
    return keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            normalized(layers.Conv2D(16, 4, strides=2, padding="same")),
            layers.LeakyReLU(0.2),
            normalized(layers.Conv2D(32, 4, strides=2, padding="same")),
            layers.LeakyReLU(0.2),
            layers.Flatten(),
            normalized(layers.Dense(1)),
        ]
    )


# %%
spectral_runs = {}
for name, new_discriminator in {
    "without": dcgan_discriminator,
    "with spectral normalization": spectral_discriminator,
}.items():
    spectral_runs[name] = []
    for seed in range(here.seeds):
        keras.utils.set_random_seed(seed)
        rng = np.random.default_rng(seed)
        networks_of_run = dcgan_generator(), new_discriminator()
        run = play(*networks_of_run, 1e-3, 5e-3, steps=2 * here.failed)
        spectral_runs[name].append(run)
        first_half = np.mean(run[0][: here.failed])
        print(f"{name}, seed {seed}: discriminator loss, first half {first_half:.3f}")

# %%
fig, axes = plt.subplots(
    2 * here.seeds, 2, figsize=(11, 1.1 * here.seeds + 0.4), layout="constrained"
)
for column, (name, runs) in zip(axes.T, spectral_runs.items(), strict=True):
    column[0].set_title(name)
    shown_steps = [
        (f"seed {seed}, step {step}", strips[f"step {step}"])
        for seed, (_, strips) in enumerate(runs)
        for step in (here.failed, 2 * here.failed)
    ]
    for ax, (label, strip) in zip(column, shown_steps, strict=True):
        draw_strip(ax, strip)
        if name == "without":
            ax.set_ylabel(label, rotation=0, ha="right", va="center")
plt.show()

# %% [markdown]
# Without spectral normalization the loss stays near 0, and after 400 steps all three runs are stuck at black squares. One of
# them has found the discs 400 steps later, the other two have not. With it, the loss is near 1: the discriminator is ahead, but
# cannot become certain. After 400 steps every generator draws bright spots at several places, and after 800 most of them have
# become discs, if not round ones. At these learning rates, all three runs with spectral normalization found the discs, and one
# of three without it. That does not make it better in all respects: the one run without it draws rounder discs.
#
# Other remedies limit the gradient of the discriminator with a penalty ([R1](https://arxiv.org/abs/1801.04406); the docstring of
# `GAN.discriminator_penalty` has the code), or ask for 0.9 instead of 1 on real samples ([one-sided label
# smoothing](https://arxiv.org/abs/1606.03498)). All discriminators of the package accept `spectral_norm=True`.

# %% [markdown]
# ### Optional: a warning from the package
#
# The package counts consecutive steps with a discriminator loss below 0.01, and warns after 500 of them. So that the warning
# appears within 60 steps, we set these limits to 0.3 and 5. The generator has random weights and hardly learns, and the
# discriminator learns fast:

# %%
keras.utils.set_random_seed(0)
overpowered = GAN(
    sr.models.edsr(4, filters=4, num_blocks=1),
    sr.models.patchgan(filters=8, num_layers=2),
)
overpowered.OVERPOWERED_STEPS, overpowered.OVERPOWERED_LOSS = 5, 0.3
overpowered.compile(
    keras.optimizers.Adam(1e-6),
    keras.optimizers.Adam(1e-2),
    losses=[(1.0, "l1")],
)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    logs = overpowered.fit(batches, steps_per_epoch=20, epochs=3, verbose=0).history
print("discriminator loss, every 20 steps:", np.round(logs["discriminator_loss"], 3))
for warning in caught:
    if "overpowers" in str(warning.message):
        print(warning.message)

# %% [markdown]
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** The discriminator gives a fake the probability 0.1 of being a photo. What is the adversarial loss of the
# generator? And how many pixels does a logit of a PatchGAN see along one side, if it has a single strided convolution and two of
# stride 1, all with kernel 4? Answer with a list of both.

# %%
answer = None  # [loss, pixels]

sr.course.check(answer, "10.1")

# %% tags=["solution"]
# @title Solution 1
# -log D: much more than log 2 = 0.69, which a discriminator that guesses gives
answer = [-np.log(0.1), 2 * (7 - 1) + 4]  # 1, 4, 7 and 16 pixels, backwards
logit = np.array([[np.log(0.1 / 0.9)]], "float32")  # the sigmoid of it is 0.1
np.testing.assert_allclose(generator_loss(logit), answer[0], rtol=1e-4)
print(np.round(answer, 2))
sr.course.check(answer, "10.1")

# %% [markdown]
# **Exercise 2** (needs the optional section). In `LeastSquares`, a discriminator returns 0.5 for everything. What is its loss, and what is the adversarial
# loss of the generator? Answer with a list of both.

# %%
answer = None  # [discriminator loss, adversarial loss]

sr.course.check(answer, "10.2")

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
sr.course.check(answer, "10.2")

# %% [markdown]
# **Exercise 3.** The first GAN paper describes the game with another loss of the generator, `log(1 - D)`, which is minimized.
# Write the gradient of each loss with respect to the logit as a function of $D$. Then evaluate both at a logit of -6, with
# which the discriminator is right and certain, and check the two numbers with a tape.

# %%
answer = None  # [gradient of -log D, gradient of log(1 - D)]

sr.course.check(answer, "10.3")

# %% tags=["solution"]
# @title Solution 3
logit = tf.Variable(-6.0)
with tf.GradientTape(persistent=True) as tape:
    probability = tf.sigmoid(logit)
    non_saturating = -tf.math.log(probability)
    saturating = tf.math.log(1 - probability)
answer = [float(tape.gradient(loss, logit)) for loss in (non_saturating, saturating)]
print("-log D: {:.4f}, log(1 - D): {:.4f}".format(*answer))
sr.course.check(answer, "10.3")

# %% [markdown] tags=["solution"]
# The gradients are $-(1 - D)$ and $-D$. With `-log D` the gradient still pushes the logit upwards, and with `log(1 - D)` hardly
# at all: the sigmoid is saturated. This is why `-log D` is called the *non-saturating* loss.

# %% [markdown]
# **Exercise 4.** Train the GAN on single numbers with two peaks: real numbers lie near -2 or near 2, with equal probability. Draw
# a histogram of the generated numbers, after 300 steps and after 1,500. Are both peaks found? Try other seeds and learning rates.

# %%
answer = None  # your histogram

# %% tags=["solution"]
# @title Solution 4
fig, axes = plt.subplots(1, here.seeds, figsize=(9, 2.6), squeeze=False)
for seed, ax in enumerate(axes[0]):
    keras.utils.set_random_seed(seed)
    generator, discriminator = small_network(), small_network()
    train_step = make_train_step(generator, discriminator, 5e-3, 5e-3)
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

# %% [markdown] tags=["solution"]
# The dashed lines are the real peaks. In our runs both are found in the end, most often with unequal shares. After 300 steps the
# numbers are still spread over a wide range, or lie on one side only. If one peak gets hardly any numbers, the generator has
# collapsed to the other one. (Peaks of a distribution are called *modes*.) Later steps may still find the missing one.

# %% [markdown]
# **Exercise 5.** Write a `train_step` in which each batch updates the discriminator twice and the generator once. Derive the
# class from `WithDiscriminator`, and compile a model of it. The cell trains on one batch and checks the numbers of updates, which
# the optimizers count.

# %%
model = None  # yours, newly compiled

if model is not None:
    model.train_on_batch(lr_batch, hr_batch)
    optimizers = (model.optimizer, model.discriminator_optimizer)
    sr.course.check([int(adam.iterations) for adam in optimizers], "10.5")


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
network = sr.models.patchgan(filters=8, num_layers=2)
model = TwoDiscriminatorSteps(pretrained(), network)
adams = [keras.optimizers.Adam(1e-4) for _ in range(2)]
model.compile(*adams, run_eagerly=True)
model.train_on_batch(lr_batch, hr_batch)
answer = [int(adam.iterations) for adam in adams]
sr.course.check(answer, "10.5")

# %% [markdown]
# ## Summary
#
# - A GAN has two networks, two losses and two optimizers. A discriminator that guesses scores 2 log 2. Neither loss has to
#   fall, so look at pictures.
# - To see what a discriminator adds, train the same network with and without it. On gravel it added sharp gaps and rough-looking
#   stones, and cost PSNR.
# - SRGAN takes a trained generator and adds an adversarial loss with a small weight and a content loss on VGG19. A pixel loss
#   preserves the colours.
# - SRGAN has a much better LPIPS than L1 on fur, hair and gravel, and sharpening does not reach it. Most of that gain comes
#   from the content loss; the discriminator replaces its grid by grain. On smooth bricks SRGAN does harm. Its detail may be
#   invented.
# - ESRGAN adds dense blocks, a relativistic discriminator, and features before the ReLU, where all of them have a gradient.
# - A discriminator can return a logit for an image, a patch or a pixel. Only a conditional one knows whether the result fits
#   the input.
# - In mode collapse all samples are alike, and the loss of the discriminator does not show it. A discriminator loss near 0 for
#   a long time means that the discriminator overpowers the generator. Spectral normalization limits how fast the logit can
#   change. In our toy, the discs were found with all three seeds, and with one of three without it.
#
# ## Further reading
#
# - Goodfellow and others, [Generative adversarial networks](https://arxiv.org/abs/1406.2661), 2014.
# - Radford, Metz and Chintala, [Unsupervised representation learning with deep convolutional generative adversarial
#   networks](https://arxiv.org/abs/1511.06434) (DCGAN), 2015.
# - Ledig and others, [Photo-realistic single image super-resolution using a generative adversarial
#   network](https://arxiv.org/abs/1609.04802) (SRGAN), 2017.
# - Mao and others, [Least squares generative adversarial networks](https://arxiv.org/abs/1611.04076) (LSGAN), 2016.
# - Isola and others, [Image-to-image translation with conditional adversarial networks](https://arxiv.org/abs/1611.07004)
#   (pix2pix, PatchGAN), 2017.
# - Wang and others, [ESRGAN](https://arxiv.org/abs/1809.00219), 2018; Jolicoeur-Martineau, [The relativistic
#   discriminator](https://arxiv.org/abs/1807.00734), 2018.
# - Miyato and others, [Spectral normalization for generative adversarial networks](https://arxiv.org/abs/1802.05957), 2018.
# - Wang and others, [Real-ESRGAN](https://arxiv.org/abs/2107.10833), 2021: the U-Net as a discriminator.
# - Blau and Michaeli, [The perception-distortion tradeoff](https://arxiv.org/abs/1711.06077), 2018: why distortion and
#   perceptual quality conflict.
