# %% [markdown]
# # 10. GANs: a network that judges
#
# The game of generator and discriminator by hand, the training step in three versions, SRGAN, loss scales, and what a collapse looks like.
#
# **You will be able to**
#
# - write both losses of the game, and say what a guessing judge scores;
# - build SRGAN's generator loss term by term, and override it in the package's `GAN`;
# - say why two networks in float16 need two loss scales;
# - notice a collapse.
#
# **You need** lesson 8 (EDSR) and lesson 3 (what a convolution does).
#
# **Time:**

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

here = sr.course.start(minutes=(0.5, 2, 1), toy=(400, 1500, 1500), steps=(6, 40, 400))

# %% [markdown]
# ## A game of two numbers
#
# A *generator* makes things, a *discriminator* says whether a thing is real. Each learns from the other. First with single numbers: the
# real ones lie around 2, the generator starts with noise around 0.

# %%
import warnings

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import ops

from sr_keras.training.adversarial import GAN

keras.utils.set_random_seed(0)
dense = keras.layers.Dense
maker = keras.Sequential([keras.Input((1,)), dense(16, "relu"), dense(1)])
judge = keras.Sequential([keras.Input((1,)), dense(16, "relu"), dense(1)])
entropy = keras.losses.BinaryCrossentropy(from_logits=True)
adams = [keras.optimizers.Adam(5e-3, beta_1=0.5) for _ in range(2)]

# %% [markdown]
# The judge's loss: real numbers should get the answer 1, made ones 0. The maker's: its own numbers should get 1. Each tape trains one
# network; the other is held still.


# %%
@tf.function
def play(real, noise):
    with tf.GradientTape() as maker_tape, tf.GradientTape() as judge_tape:
        fake = maker(noise)
        on_real, on_fake = judge(real), judge(fake)
        maker_loss = entropy(ops.ones_like(on_fake), on_fake)
        judge_loss = entropy(ops.ones_like(on_real), on_real)
        judge_loss += entropy(ops.zeros_like(on_fake), on_fake)
    pairs = ((maker, maker_tape, maker_loss), (judge, judge_tape, judge_loss))
    for adam, (network, tape, loss) in zip(adams, pairs, strict=True):
        weights = network.trainable_variables
        adam.apply(tape.gradient(loss, weights), weights)
    return judge_loss, ops.mean(fake)


# %% [markdown]
# **Predict:** a judge who only guesses gives every number the probability 0.5. What is its loss? And will the curves below go down, as in
# the lessons before?

# %%
rng = np.random.default_rng(0)
history = []
for adam, network in zip(adams, (maker, judge), strict=True):
    adam.build(network.trainable_variables)
for _ in range(here.toy):
    real = rng.normal(2, 0.3, (64, 1)).astype("float32")
    noise = rng.normal(size=(64, 1)).astype("float32")
    history.append([float(value) for value in play(real, noise)])
history = np.array(history)
print("guessing: 2 log 2 =", round(2 * np.log(2), 2))

fig, axes = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
for ax, curve, goal, title in zip(
    axes, history.T, (2 * np.log(2), 2), ("judge's loss", "mean made"), strict=True
):
    ax.plot(curve)
    ax.axhline(goal, color="gray", linestyle="--")
    ax.set(title=title, xlabel="step")
plt.show()

# %% [markdown]
# The dashed lines are a judge who guesses, and the real mean. In a game no loss has to fall: a good move of one is a loss of the other. So
# do not read quality from these curves.
#
# ## The step, three times
#
# Now with images. The generator starts *trained*: a shipped EDSR (x4, L1). **Version 1** is an ordinary step: it follows the L1 loss alone.

# %%
scale = 4
pairs = sr.datasets.samples(scale, split="validation")
photos = sr.datasets.samples(scale, split="train")
batches = sr.pipeline.training_batches(photos, lr_size=8, batch_size=4)
lr_batch, hr_batch = next(iter(batches))
lr_batch, hr_batch = sr.images.to_float(lr_batch), sr.images.to_float(hr_batch)
generator = sr.models.load("edsr-x4-bsds-small")
discriminator = sr.models.srgan_discriminator(size=32, filters=8)
print("patches:", lr_batch.shape, "->", hr_batch.shape)


# %%
def version_1(lr, hr):
    return ops.mean(ops.abs(hr - generator(lr)))


print("L1:", float(version_1(lr_batch, hr_batch)))


# %% [markdown]
# **Version 2** adds the discriminator's view, with a small weight; **version 3** adds a content loss: features of VGG19 compared, not
# pixels. Pixels hold colours in place, features ask for structure.


# %%
def version_2(lr, hr, weight=5e-3):
    verdict = discriminator(generator(lr), training=True)
    return version_1(lr, hr) + weight * entropy(ops.ones_like(verdict), verdict)


try:
    sr.features.FeatureExtractor(["VGG54"])(hr_batch)
    vgg = "imagenet"
except OSError:
    vgg = None  # the mechanics still work, the picture would not
    print("VGG19's weights are missing (no network?): random ones stand in.")
content = sr.losses.Content("VGG54", vgg_weights=vgg)


def version_3(lr, hr, weight=1e-2):
    return version_2(lr, hr) + weight * content(hr, generator(lr))


# %% [markdown]
# The package's `GAN` does both steps. Its generator loss must be version 2, if L1 is its only term:

# %%
gan = GAN(generator, discriminator)
rates = [keras.optimizers.Adam(1e-4) for _ in range(2)]
gan.compile(*rates, terms=[(1.0, "l1")], adversarial_weight=5e-3)
package = gan.generator_loss(lr_batch, hr_batch, generator(lr_batch))
np.testing.assert_allclose(package, version_2(lr_batch, hr_batch), rtol=1e-3)
logs = gan.fit(batches, steps_per_epoch=here.steps, verbose=0).history
print({name: round(values[-1], 4) for name, values in logs.items()})


# %% [markdown]
# Another game is another method. Least squares (LSGAN) instead of cross-entropy:


# %%
class LeastSquares(GAN):
    def adversarial_loss(self, lr, hr, sr):
        return sum(ops.mean((fake - 1) ** 2) for fake in self.judge(sr, lr))

    def discriminator_loss(self, real, fake):
        return ops.mean((real - 1) ** 2) + ops.mean(fake**2)


# %% [markdown]
# ## What training gives
#
# The shipped `edsr-x4-bsds-srgan` started from `edsr-x4-bsds-small`. **Predict:** which of the two has the higher PSNR? Which looks sharper?

# %%
lr, hr = (sr.images.to_float(image) for image in pairs[0])
pictures = {"bicubic": sr.models.bicubic(scale)}
for title, name in (("L1", "small"), ("GAN", "srgan")):
    pictures[title] = sr.models.load(f"edsr-x4-bsds-{name}")
pictures = {
    title: np.clip(ops.convert_to_numpy(model(lr[None]))[0], 0, 1)
    for title, model in pictures.items()
}
scores = {
    title: float(10 * np.log10(1 / np.mean((image - hr) ** 2)))
    for title, image in pictures.items()
}
window = (60, 90, 90, 135)
sr.plotting.comparison(
    {**pictures, "HR": hr}, scores, window, title="x4, PSNR of RGB, no border cut"
)

# %%
sr.plotting.slider({"L1": pictures["L1"], "GAN": pictures["GAN"]}, crop=window)

# %% [markdown]
# Compare with HR, not with your taste: detail that HR lacks was invented.
#
# ## Two optimizers, two scales
#
# In float16 the smallest positive number is about 6e-8. **Predict:** what becomes of a gradient of 1e-9, and of 1e-9 times 2**15?

# %%
gradient = 1e-9
print(np.float16(gradient), np.float16(gradient * 2**15))

# %% [markdown]
# The first is lost. `LossScaleOptimizer` multiplies the loss, and divides the gradients again. Two losses have two ranges, so each
# optimizer keeps its own scale.
#
# ## Collapse
#
# Provoke one: a discriminator with a hundred times the learning rate. The package counts steps in which its loss is near 0; the usual limit
# is 500 steps, here fewer.

# %%
strong = GAN(generator, sr.models.srgan_discriminator(size=32, filters=8))
strong.COLLAPSED_STEPS, strong.COLLAPSED_LOSS = 3, 0.1
fast_judge = keras.optimizers.Adam(1e-2)
strong.compile(keras.optimizers.Adam(1e-4), fast_judge, terms=[(1.0, "l1")])
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    logs = strong.fit(batches, steps_per_epoch=here.steps, verbose=0).history
print("discriminator loss:", logs["discriminator_loss"])
print([str(w.message) for w in caught if "Collapse" in str(w.message)])

# %% [markdown]
# An empty list: no collapse was seen in so few steps; more steps may bring one.
#
# ## Exercises
#
# **Exercise 1.** What is `-log D(sr)` if the discriminator gives a made image the probability 0.1?

# %%
answer = None
sr.course.check(answer, -np.log(0.1), tolerance=0.01)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 1
answer = -np.log(0.1)
sr.course.check(answer, 2.3026, tolerance=0.01)

# %% [markdown]
# **Exercise 2.** A discriminator gives photos 0.9 and made images 0.2. Its loss?

# %%
answer = None
sr.course.check(answer, -np.log(0.9) - np.log(0.8), tolerance=0.01)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 2
answer = -np.log(0.9) - np.log(1 - 0.2)
sr.course.check(answer, 0.3285, tolerance=0.01)

# %% [markdown]
# **Exercise 3.** Compile `LeastSquares` and train it for three steps.

# %%
answer = None  # your GAN

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 3
answer = LeastSquares(generator, discriminator)
answer.compile("adam", "adam", terms=[(1.0, "l1")])
print(answer.fit(batches, steps_per_epoch=3, verbose=0).history)

# %% [markdown]
# ## Summary
#
# - Two networks, two losses, two optimizers; no loss has to fall.
# - SRGAN is a trained generator plus content and a small adversarial weight.
# - float16 needs a loss scale for each optimizer. A discriminator loss near 0 for long is a collapse.
#
# ## Further reading
#
# - Goodfellow and others, [Generative adversarial networks](https://arxiv.org/abs/1406.2661), 2014.
# - Radford, Metz and Chintala, [Unsupervised representation learning with DCGAN](https://arxiv.org/abs/1511.06434), 2015.
# - Ledig and others, [SRGAN](https://arxiv.org/abs/1609.04802), 2017.
# - Wang and others, [ESRGAN](https://arxiv.org/abs/1809.00219), 2018.
