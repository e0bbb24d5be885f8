# %% [markdown]
# # 9. Designs: progressive and iterative networks, and receptive fields
#
# The four places where a network can upscale. We build LapSRN's pyramid and back-projection by hand, measure receptive fields by a gradient, and
# compare all designs in one plot.
#
# ![The size of the feature maps along five networks](figures/09_goal.jpg)
#
# *The same task in five arrangements: the height is the size of the feature maps from the input to the output.*
#
# **You will be able to**
#
# - tell the four frameworks apart, and say what a layer costs in each;
# - build a Laplacian pyramid, interpret LapSRN's residuals, and train a network level by level;
# - correct an image by back-projection, and find this step inside DBPN;
# - measure the receptive field of any network, and say how dilation, dense connections, pooling and an hourglass change it;
# - read a plot of quality against cost, and say what it does not prove.
#
# **You need** lesson 1 (back-projection, PSNR), lesson 3 (residuals, VDSR), lesson 4 (Mult-Adds, pixel shuffle, transposed convolution, leaky ReLU, SOAP),
# lesson 5 (the Charbonnier loss, dilation, the receptive field) and EDSR from lesson 8.
#
# **Time:** about 75 minutes to read the core, 50 for the exercises; 2.5 minutes of computing on two CPU cores (measured), 2 minutes on a GPU in Colab (an estimate).
#
# **Optional** section, 5 minutes more: *the hourglass, down first, then up*. Everything else is core.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/09_designs.ipynb) · [Student edition](student/09_designs.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/09_designs.py) · Previous: [8. EDSR: remove batch normalization, then train well](08_edsr.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/08_edsr.ipynb)) · Next: [10. GANs: training against a discriminator](10_gans.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/10_gans.ipynb)) · [All lessons](README.md)

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
    minutes=(0.5, 2.5, 2),
    rounds=(1, 4, 6),
    steps=(3, 50, 100),
    fitted=(4, 60, 60),
    eager=(True, False, False),  # a few steps take less time than tracing a graph
    draws=(2, 8, 8),
    pieces=(1, 4, 4),
    measured=(4, 7, 7),
    compared=(("edsr-x4-bsds-250k", "fsrcnn-x4-bsds"), None, None),
)

# %% [markdown]
# ## Where to upscale?
#
# The networks of lesson 3 upscale first (*pre-upsampling*), and those of lesson 4 upscale last (*post-upsampling*). There are two other designs: in
# steps (*progressive*), and up and down repeatedly (*iterative*).

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
# We can read this from the networks: if the LR image has side 1, how large is the output of each convolution? Branches beside the main path are left
# out.


# %%
def sides_along(model, size=32):
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
# Here are five networks at x4 with few filters, which does not change the picture. **Predict**, with the figure at the top covered: draw the size along
# the layers for each: VDSR (upscales first), EDSR (last), LapSRN (in steps), DBPN (up and down), and an hourglass (down, then up).

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
    sides = [1, *sides_along(model)]
    ax.stairs(sides, fill=True, color="#0072B2", baseline=1 / 32)
    ax.axhline(1, color="0.4", linewidth=0.8, linestyle="--")
    ax.set_yscale("log", base=2)
    ax.set(yticks=[1 / 16, 1, 4], yticklabels=["1/16", "LR", "HR"], ylim=(1 / 32, 8))
    ax.set_title(name, fontsize=10, loc="left")
axes[-1].set_xlabel("layers, from input to output")
plt.show()

# %% [markdown]
# The shapes are a high plateau, a low one, a staircase, a row of teeth, and two valleys. (Strictly, the hourglass is post-upsampling. We list it as
# iterative, because the second hourglass corrects the prediction of the first.) The height, on a logarithmic axis, determines the cost: a convolution
# uses every weight once for each pixel of its feature map. (A transposed convolution uses them once for each *input* pixel, so DBPN's teeth cost less
# than their height suggests.) Take a 3 x 3 convolution from 64 to 64 channels:

# %%
weights = 3 * 3 * 64 * 64
for factor in (1, 2, 4):
    pixels = (180 * factor) * (320 * factor)
    giga = weights * pixels / 1e9
    print(f"at {factor} times the LR side: {giga:5.2f} G Mult-Adds, x4 to 1280 x 720")

# %% [markdown]
# Each doubling of the side multiplies the cost by four. What do the progressive and the iterative design gain for this cost?
#
# ## Progressive: a pyramid
#
# The *Laplacian pyramid* (Burt and Adelson, 1983) is an old way to store an image: it keeps the smallest version and, for each doubling, what
# interpolation missed. With $\uparrow$ for interpolation by 2, $x_1$ for the LR image, and $x_2$ and $x_4$ for HR at half and at full size, it keeps
# $x_1$ and the residuals
#
# $$r_2 = x_2 - \uparrow x_1, \qquad r_4 = x_4 - \uparrow x_2$$

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
# With both residuals the photo is restored, up to rounding. **Predict:** what do the residuals look like, and which of the two is stronger? (In the
# figure, red adds light and blue removes it.)


# %%
def show(ax, image, title, signed=False, limit=0.25):
    """Draws the mean of the channels: grey, or signed from blue to red."""
    image = np.asarray(image).mean(axis=-1)
    if signed:
        ax.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit)
    else:
        ax.imshow(image, cmap="gray", vmin=0, vmax=1)
    ax.set_title(title, fontsize=10)
    ax.set(xticks=[], yticks=[])


# %%
def cut(image, factor):
    """Cuts out the engine and the front wheel; the sides are those of LR pixels."""
    return image[60 * factor : 120 * factor, 90 * factor : 180 * factor]


fig, axes = plt.subplots(1, 3, figsize=(13, 3.2), layout="constrained")
show(axes[0], cut(lr1, 1), "LR")
for ax, detail, factor in ((axes[1], detail2, 2), (axes[2], detail4, 4)):
    title = f"residual of x{factor}, std {detail.std():.3f} (whole photo)"
    show(ax, cut(detail, factor), title, signed=True, limit=0.1)
plt.show()

# %% [markdown]
# The residuals are nearly zero in smooth areas and show lines at edges. Such a difference between an image and its blurred version is roughly
# proportional to the negative *Laplacian*, a sum of second derivatives. In this photo, the residual of x2 is the stronger one. A photo with much fine
# texture can reverse this.
#
# LapSRN (Lai and others, 2017) predicts such residuals from the LR image alone, one on each level. The second one also has to correct the errors of the
# first level:
#
# ![LapSRN](figures/09_lapsrn.svg)
#
# There are two branches. The lower one doubles the image by a transposed convolution with a 4 x 4 kernel, and the upper one doubles the features. At
# each plus sign, the residual is added to the image. (In the package, the 4 x 4 kernels start as bilinear interpolation. Ours will receive trained
# weights.) The network works on luma:


# %%
def lapsrn_by_hand(filters, num_convs):
    image = lr_image = keras.Input((None, None, 1))
    x = layers.Conv2D(filters, 3, padding="same", name="head")(image)
    x = layers.LeakyReLU(0.2)(x)
    outputs = {}
    for name in ("x2", "x4"):
        for i in range(num_convs):  # at the input size of the level
            x = layers.Conv2D(filters, 3, padding="same", name=f"{name}_conv_{i}")(x)
            x = layers.LeakyReLU(0.2)(x)
        twice = {"strides": 2, "padding": "same"}
        x = layers.Conv2DTranspose(filters, 3, **twice, name=f"{name}_up")(x)
        x = layers.LeakyReLU(0.2)(x)
        residual = layers.Conv2D(1, 3, padding="same", name=f"{name}_residual")(x)
        interpolated = layers.Conv2DTranspose(
            1, 4, **twice, use_bias=False, name=f"{name}_interpolation"
        )(image)
        image = interpolated + residual
        outputs[name] = [interpolated, residual, image]
    return keras.Model(lr_image, outputs)


# %% [markdown]
# We give it the weights of a trained LapSRN that comes with the package. The outputs of both levels are those of the package:

# %%
path = sr.weights.find("lapsrn-x4-bsds-small")
config = sr.weights.identity(path)["config"]
lapsrn = sr.models.lapsrn(**config, all_levels=True, weights="bsds-small")
by_hand = lapsrn_by_hand(config["filters"], config["num_convs"])
for part in by_hand.layers:
    if part.weights:
        part.set_weights(lapsrn.get_layer(part.name).get_weights())

luma1 = sr.images.luma(lr1)[None]
levels = by_hand(luma1)
interpolated2, residual2, sr2 = levels["x2"]
interpolated4, residual4, sr4 = levels["x4"]
package = lapsrn(luma1)
np.testing.assert_allclose(sr2, package["x2"], atol=1e-5)
np.testing.assert_allclose(sr4, package["x4"], atol=1e-5)
print(f"{by_hand.count_params():,} weights; equal to sr.models.lapsrn at x2 and x4")

# %% [markdown]
# This network predicts its residuals without seeing the HR image. The *true* residual of x4 is HR minus the interpolated output of x2. **Predict:**
# the tank carries the name of its brand in small letters. Which is stronger there, the predicted residual or the true one?

# %%
top, left, height, width = 150, 350, 120, 160  # in HR pixels
panels = (
    ("x2", 2, interpolated2, residual2, sr2),
    ("x4", 1, interpolated4, residual4, sr4),
)
fig, axes = plt.subplots(2, 3, figsize=(9, 5.2), layout="constrained")
for row_axes, (name, step, *maps) in zip(axes, panels, strict=True):
    y = slice(top // step, (top + height) // step)
    x = slice(left // step, (left + width) // step)
    show(row_axes[0], maps[0][0, y, x], f"{name}: interpolated")
    show(row_axes[1], maps[1][0, y, x], "+ residual", signed=True, limit=0.15)
    show(row_axes[2], maps[2][0, y, x], f"= output of {name}")
plt.show()

# %%
truth = sr.images.luma(hr4)[None] - interpolated4.numpy()
window = (0, slice(top, top + height), slice(left, left + width))
fig, axes = plt.subplots(1, 2, figsize=(8, 3.3), layout="constrained")
show(axes[0], residual4[window], "predicted, x4", signed=True, limit=0.15)
show(axes[1], truth[window], "true: HR - interpolated", signed=True, limit=0.15)
plt.show()
guess = residual4.numpy()
print(f"standard deviation: predicted {guess.std():.4f}, true {truth.std():.4f}")
print(f"correlation: {np.corrcoef(guess.ravel(), truth.ravel())[0, 1]:.2f}")

# %% [markdown]
# The predicted residual is weaker: its standard deviation is less than half that of the true one. The two agree where edges are long and clean. The
# letters, which the true residual shows in the middle of the picture, and the fine fins of the engine are missing, and over the whole photo the
# correlation is only 0.35. A network trained on a pixel error predicts little where it is uncertain.
#
# ### Two sizes from one pass
#
# The network produces an image at x2 on its way to x4. We score both, the first against HR at half size.

# %%
hr_half = sr.images.to_integer(hr2)
outputs = {f"x{k}": keras.Model(lapsrn.input, lapsrn.output[f"x{k}"]) for k in (2, 4)}
for factor, target in ((2, hr_half), (4, hr)):
    for name, model in (
        ("bicubic", sr.models.bicubic(factor)),
        ("LapSRN", outputs[f"x{factor}"]),
    ):
        upscaled = sr.upscale(model, lr, tile=None)
        score = sr.evaluation.score(target, upscaled, factor)
        print(f"x{factor} {name:8} {score['psnr_y']:.2f} dB / {score['ssim_y']:.4f}")
print("motorcycle, PSNR / SSIM on luma, 2 or 4 pixels cut, 8 bits")

# %% [markdown]
# One pass gives images for two display sizes, because each level was trained with its own loss, against HR of its size. (HR at half size is made by
# bicubic downscaling with antialiasing, in training as here.)
#
# ### A curriculum
#
# In a *curriculum*, a network learns an easier task first, here to double and then to quadruple. The network above was trained this way: its lower level
# came from `lapsrn-x2-bsds-small`. **Predict:** which layers of that x2 network fit into the x4 network?

# %%
lower = load("lapsrn-x2-bsds-small")


def new_lapsrn():
    keras.utils.set_random_seed(1)
    return sr.models.lapsrn(**config, all_levels=True)


pretrained_below = new_lapsrn()
copied = []
lower_names = {part.name for part in lower.layers}
for part in pretrained_below.layers:
    if part.weights and part.name in lower_names:
        part.set_weights(lower.get_layer(part.name).get_weights())
        copied.append(part.name)
assert copied == sr.weights.copy_matching(lower, new_lapsrn())
print(len(copied), "layers, such as", ", ".join(copied[:3]))
history = sr.weights.history(sr.weights.find("lapsrn-x2-bsds-small"))
print("trained before:", history["recipe"]["steps"], "steps at x2")

# %% [markdown]
# All nine layers of the x2 network fit, and the upper level keeps its random weights. `sr.weights.copy_matching` does this for any two networks. Now we
# train two networks for the same number of steps, one from random weights, and one whose lower level is pretrained. They have to pass the best linear
# filter, which lesson 4 found by least squares: a sum of 7 x 7 LR pixels for each HR pixel, without any training steps. `sr.course.linear_filter` does
# the same. **Predict:** which network is better at step 0, which at the end, and which one passes the filter?

# %%
downscale2 = sr.degradations.Downscale(2)
train_pairs = sr.datasets.samples(4)
batches = sr.pipeline.training_batches(
    train_pairs, 16, batch_size=8, channels=1, min_contrast=0.03
)
batches = batches.map(lambda lr, hr: (lr, {"x2": downscale2(hr), "x4": hr}))
patches = sr.pipeline.training_batches(train_pairs, 24, batch_size=8, min_contrast=0.03)
linear = sr.course.linear_filter(patches.take(here.fitted), 4)


# %%
def train(model):
    """Returns the motorcycle, enlarged after each round of training."""
    x4_model = keras.Model(model.input, model.output["x4"])
    loss = {name: sr.losses.Charbonnier() for name in ("x2", "x4")}
    soap = sr.optimizers.SOAP(2e-3, beta_2=0.99, precondition_frequency=20)
    model.compile(soap, loss=loss, run_eagerly=here.eager)
    enlarged = [sr.upscale(x4_model, lr, tile=None)]

    def keep(epoch, logs):
        enlarged.append(sr.upscale(x4_model, lr, tile=None))

    model.fit(
        batches,
        steps_per_epoch=here.steps,
        epochs=here.rounds,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=keep)],
        verbose=0,
    )
    return enlarged


# %%
kept = {
    "random weights": train(new_lapsrn()),
    "pretrained lower level": train(pretrained_below),
}
references = {
    "bicubic": sr.upscale(sr.models.bicubic(4), lr),
    "linear filter": sr.upscale(linear, lr),
}


def psnr_of(image):
    return sr.evaluation.score(hr, image, 4)["psnr_y"]


# %%
curves = {name: [psnr_of(image) for image in images] for name, images in kept.items()}
reference_psnrs = {name: psnr_of(image) for name, image in references.items()}
fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
for name, curve in curves.items():
    ax.plot(here.steps * np.arange(len(curve)), curve, "o-", label=name)
    print(f"{name:23} {curve[0]:.2f} dB, at the end {curve[-1]:.2f} dB")
for (name, psnr), line in zip(reference_psnrs.items(), (":", "--"), strict=True):
    ax.axhline(psnr, color="0.4", linestyle=line, label=name)
    print(f"{name:23} {psnr:.2f} dB")
ax.set(xlabel="steps on both levels", ylabel="PSNR on luma (dB)")
ax.set_ylim(reference_psnrs["bicubic"] - 1.2, reference_psnrs["bicubic"] + 1.4)
ax.set_title("LapSRN x4, the motorcycle, 4 pixels cut", fontsize=10)
ax.legend(frameon=False, loc="lower right")
plt.show()
assert curves["pretrained lower level"][-1] > curves["random weights"][-1]

# %%
end = here.rounds * here.steps
strip = {
    "random weights, step 0": kept["random weights"][0],
    f"random weights, step {end}": kept["random weights"][-1],
    "linear filter": references["linear filter"],
    "pretrained, step 0": kept["pretrained lower level"][0],
    f"pretrained, step {end}": kept["pretrained lower level"][-1],
    "HR": hr,
}
sr.plotting.comparison(
    strip,
    scores={name: psnr_of(image) for name, image in strip.items() if name != "HR"},
    crop=(312, 510, 84, 114),
    columns=3,
    whole=False,
    title="The motorcycle x4 during training: PSNR on luma (dB), 4 pixels cut",
)

# %% [markdown]
# With random weights, the first picture is covered by a strong grid, which comes from the transposed convolutions (lesson 4). 200 steps of training
# remove it and bring the network past bicubic interpolation, but not past the linear filter. With the trained lower level, the network is level with
# the filter before its first step, in spite of a faint grid, and ends 0.5 dB above it. The filter leaves steps along the fork and the rim of the wheel,
# and this network makes them straight. (Why does step 0 differ so much, although
# the upper level is random in both networks? The features that a trained lower level passes on are much weaker, so the random residual of x4 is
# small, and the image stays close to the interpolated one.)
#
# The comparison is not fair, because the lower level had been trained for 2,000 steps on other photos, and it does not show that a curriculum is better
# than the same steps at x4. But it shows that a trained lower level is worth keeping.
#
# ## Iterative: back-projection
#
# One test works for every network and needs no HR image: scale the output down again. The result should be the LR image. **Predict:** is this true
# for bicubic interpolation?

# %%
downscale = sr.degradations.Downscale(4)
upscale = sr.models.bicubic(4)
bicubic = upscale(lr1[None])[0].numpy()
error = lr1 - downscale(bicubic)
print(f"error in LR: {255 * error.std():.2f} grey levels (standard deviation)")

# %%
fig, axes = plt.subplots(1, 3, figsize=(13, 3.2), layout="constrained")
show(axes[0], cut(lr1, 1), "LR")
show(axes[1], cut(downscale(bicubic), 1), "bicubic, scaled down again")
show(axes[2], cut(error, 1), "LR - scaled down", signed=True, limit=0.05)
plt.show()

# %% [markdown]
# It is not: bicubic interpolation smooths on the way up, and downscaling smooths again. The error is known, so it can be corrected: upscale the error,
# add it to the image, and measure again. This is *iterative back-projection* (Irani and Peleg, 1991, for several aligned photos of one scene), with
# $\uparrow$ and $\downarrow$ for upscaling and downscaling:
#
# $$x_{t+1} = x_t + \uparrow\!\big(\mathrm{LR} - \downarrow x_t\big)$$


# %%
def psnr_y(hr, image):
    pair = (sr.images.to_float(x)[None] for x in (hr, image))
    return float(sr.metrics.psnr(*pair, luma=True, border=4)[0])


projected = [bicubic]
for _ in range(10):
    error = lr1 - downscale(projected[-1])
    projected.append(projected[-1] + upscale(error[None])[0].numpy())
errors = [255 * (lr1 - downscale(image)).std() for image in projected]
in_8_bits = [sr.images.to_integer(np.clip(image, 0, 1)) for image in projected]
psnrs = [psnr_y(hr, image) for image in in_8_bits]

# %% [markdown]
# **Predict:** will the error in LR go to zero? And will the PSNR against HR keep rising?

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
axes[0].plot(errors, "o-", color="#0072B2")
axes[0].set(xlabel="back-projections", ylabel="error in LR (grey levels)")
axes[0].set_ylim(bottom=0)
axes[1].plot(psnrs, "o-", color="#0072B2")
axes[1].set(xlabel="back-projections", ylabel="PSNR on luma (dB)")
plt.show()
print(f"bicubic {psnrs[0]:.2f} dB, after 10 back-projections {psnrs[-1]:.2f} dB,")
print(f"the best linear filter: {reference_psnrs['linear filter']:.2f} dB")
print("motorcycle x4, luma, 4 pixels cut, 8 bits")
assert errors[-1] < errors[0] / 4 and psnrs[-1] > psnrs[0]

# %%
sr.plotting.slider(
    {"bicubic": in_8_bits[0], "10 back-projections": in_8_bits[10]},
    crop=(150, 350, 120, 160),
    zoom=4,
    title="motorcycle x4",
)

# %% [markdown]
# The picture is sharper, with small stairs along slanted edges, and the name on the tank remains illegible. The error in LR falls towards zero, while
# the PSNR against HR soon stops rising, just below that of the best linear filter. It could not rise far above: bicubic interpolation and each
# back-projection are linear, so ten of them make one linear filter, only a larger one. If the downscaling is known and the LR image has no noise, agreement with it is necessary, but not sufficient:
# exercise 5 of lesson 1 hid a message that the LR image does not show.
#
# ### DBPN: the step becomes a layer
#
# Haris and others (2018) turn one step into a layer. An *up-projection* upscales, downscales again, compares with its own input instead of the LR image,
# and upscales the difference. It has three learned kernels $\uparrow_1$, $\downarrow_2$ and $\uparrow_3$, each followed by a PReLU. (The sign of the
# difference does not matter, since the kernel is learned.)
#
# $$y = \uparrow_1\! x + \uparrow_3\!\big(\downarrow_2\!\uparrow_1\! x - x\big)$$
#
# ![An up-projection of DBPN](figures/09_dbpn.svg)
#
# *An up-projection of DBPN at scale 4: up, down, compare with the input, and up again with the difference. Drawn from the network by
# `sr.plotting.diagram`.*
#
# In the package, these kernels are the layers `project`, `back` and `correct` of a unit. Before the first unit come a 3 x 3 convolution (`head`) and a
# 1 x 1 convolution that reduces the channels (`squeeze`), and at the end, a 3 x 3 convolution (`tail`) makes the image.

# %%
dbpn = sr.models.dbpn(4, filters=8, num_features=16, num_stages=2)


def up_projection(x, network, name):
    def apply(part, x):
        x = network.get_layer(f"{name}_{part}")(x)
        return network.get_layer(f"{name}_{part}_prelu")(x)

    first = apply("project", x)  # upscale
    error = apply("back", first) - x  # downscale, compare
    return first + apply("correct", error)  # upscale the error, add it


# %%
inside = [dbpn.get_layer(name).output for name in ("squeeze_prelu", "up_0_sum")]
before, after = keras.Model(dbpn.input, inside)(lr_cat[None, :40, :40] / 255.0)
np.testing.assert_allclose(up_projection(before, dbpn, "up_0"), after, atol=1e-4)
print(before.shape, "->", after.shape)

# %% [markdown]
# Is this really the same step? If so, there must be weights with which DBPN *is* back-projection. Bilinear interpolation x4 is a transposed convolution
# with an 8 x 8 tent kernel, and downscaling is a convolution of stride 4 with the same tent, divided by its sum.

# %%
line = 1 - np.abs(np.arange(8) - 3.5) / 4
tent = np.outer(line, line)
identity = np.zeros((3, 3))
identity[1, 1] = 1  # a convolution that changes nothing
kernels = {
    "head": identity,
    "squeeze": np.ones((1, 1)),
    "up_0_project": tent,
    "up_0_back": tent / tent.sum(),
    "up_0_correct": -tent,  # DBPN's error has the opposite sign
    "tail": identity,
}
print("the tent, one row:", line)

# %%
unit = sr.models.dbpn(4, filters=1, num_features=1, num_stages=1, channels=1)
for name, kernel in kernels.items():
    unit.get_layer(name).set_weights([kernel[..., None, None], np.zeros(1)])
    if name != "tail":
        unit.get_layer(f"{name}_prelu").set_weights([np.ones((1, 1, 1))])  # linear

# %%
upscale_bilinear = sr.layers.BilinearUpsampling(4)
downscale_bilinear = sr.degradations.Downscale(4, "bilinear")
classic = upscale_bilinear(luma1)[0].numpy()
error = (luma1[0] - downscale_bilinear(classic))[None]
classic = classic + upscale_bilinear(error)[0].numpy()
with_dbpn = unit(luma1)[0].numpy()
inner = slice(16, -16)  # at the border one repeats pixels, the other pads zeros
np.testing.assert_allclose(with_dbpn[inner, inner], classic[inner, inner], atol=1e-4)
print("one back-projection = a DBPN with", unit.count_params(), "parameters")

# %% [markdown]
# Both agree, so the unit can be one step of back-projection. The paper's network has 64 channels instead of one, learned kernels, and seven
# up-projections with down-projections between them, where each up-projection receives the maps of all previous down-projections, and the reverse. These
# are the teeth in the first figure (more teeth than projections, because each one goes up and down inside). Does a *trained* unit still compare,
# although nothing forces it to? We look at the LR side of its first unit, in the channel with the most contrast: the features that come in, the same
# after they were upscaled and downscaled, and their difference.

# %%
network = load("dbpn-x4-bsds-250k")
names = ("squeeze_prelu", "up_0_back_prelu", "up_0_error")
inside = keras.Model(network.input, [network.get_layer(n).output for n in names])
incoming, back, error_in_lr = (np.asarray(x)[0] for x in inside(lr1[None]))
channel = incoming.std(axis=(0, 1)).argmax()
area = np.s_[20:110, 60:180, channel]
limit = np.abs(incoming[area] - incoming[area].mean()).max()
fig, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
titles = ("features of LR", "after up and down", "difference")
for ax, one_map, title in zip(axes, (incoming, back, error_in_lr), titles, strict=True):
    centered = one_map[area] - one_map[area].mean()
    ax.imshow(centered, cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.set_title(f"{title}, std {centered.std():.3f}", fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()
same = np.corrcoef(incoming[area].ravel(), back[area].ravel())[0, 1]
print(f"correlation of the first two maps: {same:.2f}")

# %% [markdown]
# Not in this channel: the map that comes back has less than a tenth of the contrast of the one that went in. The difference is therefore not a small
# error, as in back-projection: it is the input with its sign reversed. The form of a unit permits the comparison, but does not enforce it. (Other
# channels and units may differ.)

# %% [markdown]
# ### Optional: the hourglass, down first, then up
#
# The hourglass goes the other way: it reduces the features, to see a large area, and enlarges them again. A *stack* predicts an image after each
# hourglass. The next hourglass receives this prediction, still at LR size, together with the features.
#
# ![An hourglass](figures/09_hourglass.svg)
#
# *An hourglass that halves its maps twice, drawn from the network; by default, the package's halves them four times. Each yellow box is one
# or more residual blocks. After the hourglass, a further block, two convolutions and a pixel shuffle make the image.*

# %%
found = sr.weights.find("stacked_hourglass-x4-bsds-250k")
options = sr.weights.identity(found)["config"]
hourglass = sr.models.stacked_hourglass(**options, all_outputs=True, weights=found)
predictions = {
    name: sr.images.to_integer(np.clip(output[0], 0, 1))
    for name, output in hourglass(lr1[None]).items()
}
for name, prediction in {"bicubic": sr.upscale(upscale, lr), **predictions}.items():
    score = sr.evaluation.score(hr, prediction, 4)
    print(f"{name:8} {score['psnr_y']:.2f} dB / {score['ssim_y']:.4f}")
print("motorcycle x4, PSNR / SSIM on luma, 4 pixels cut, 8 bits")

# %% [markdown]
# **Predict:** what does the second hourglass change? Smooth areas, edges, or everything a little?

# %%
first, second = (sr.images.to_float(p) for p in predictions.values())
fig, axes = plt.subplots(1, 2, figsize=(7.4, 2.6), layout="constrained")
y, x = slice(200, 400), slice(220, 520)
show(axes[0], second[y, x], "second prediction")
change = (second - first)[y, x]
show(axes[1], change, "second - first", signed=True, limit=0.08)
plt.show()

# %% [markdown]
# It changes edges and fine detail, and leaves smooth areas alone.

# %% [markdown]
# ## How far does a network see?
#
# So far the question was *where* to upscale. The other question of design is how far a block sees. Lesson 5 found the *receptive field*, the input
# pixels that an output pixel depends on, by counting paths. For any network, it can be measured by a gradient: if an input pixel changes a little,
# how much does the centre of the output change?


# %%
def input_gradient(model, images):
    """Returns |d central output / d input|, mean over images and channels."""
    images = tf.convert_to_tensor(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        output = model(images)
        row, column = (side // 2 for side in output.shape[1:3])
        center = tf.reduce_sum(output[:, row, column])
    return np.abs(tape.gradient(center, images)).mean(axis=(0, -1))


# %% [markdown]
# As in lesson 5, we start with 3 x 3 convolutions whose weights are all 1. The gradient is then the number of paths from one pixel to the other.
# **Predict:** how wide is the receptive field of four convolutions? Do all its pixels count equally?


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


blank = np.zeros((1, 25, 25, 1), "float32")
field = input_gradient(counting([1, 1, 1, 1]), blank)
paths = np.ones(1)
for _ in range(4):
    paths = np.convolve(paths, np.ones(3))  # the paths, in one direction
np.testing.assert_allclose(field[8:17, 8:17], np.outer(paths, paths))
print("paths:", paths.astype(int), " width:", (field > 0).sum(axis=0).max())

# %% [markdown]
# It is nine pixels wide, and its pixels do not count equally: 19 x 19 paths lead from the centre to itself, and one from a corner. With more layers the
# counts approach a bell curve, whose width grows only with the square root of the number of layers, while the reach grows with the number itself. So
# there are two receptive fields: the *theoretical* one, the pixels that can have an effect, and the *effective* one (Luo and others, 2016), those that
# have a considerable effect. (In the next figure, white means that there is no path.)

# %%
fig, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for ax, count in zip(axes, (1, 4, 12), strict=True):
    paths = input_gradient(counting([1] * count), blank)
    ax.imshow(np.where(paths > 0, paths / paths.max(), np.nan), vmin=0)
    ax.set_title(f"convolutions: {count}", fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ### Five blocks
#
# Now we take blocks as they occur in networks, with random weights, ReLU and 16 channels. Each has four 3 x 3 convolutions in series. These three
# consist of nothing else:

# %%
size, filters = 48, 16


def conv(x, rate=1):
    options = {"padding": "same", "activation": "relu", "dilation_rate": rate}
    return layers.Conv2D(filters, 3, kernel_initializer="he_normal", **options)(x)


def plain(x, rates=(1, 1, 1, 1)):
    for rate in rates:
        x = conv(x, rate)
    return x


def dilated(x):  # the nine weights of a kernel are `rate` pixels apart
    return plain(x, rates=(1, 2, 4, 8))


def dense(x):  # every convolution receives all previous maps
    for _ in range(4):
        x = layers.Concatenate()([x, conv(x)])
    return x


# %% [markdown]
# The next block adds means. *Pyramid pooling*, as in PSPNet, appends the means of 1, 4, 9 and 36 regions. (PSPNet upscales its means by interpolation,
# while we repeat them.)


# %%
def pyramid(x):
    x = plain(x)
    maps = [x]
    for bins in (1, 2, 3, 6):
        mean = layers.AveragePooling2D(size // bins)(x)
        mean = layers.Conv2D(filters // 4, 1)(mean)
        maps.append(layers.UpSampling2D(size // bins)(mean))
    return layers.Concatenate()(maps)


# %% [markdown]
# The last is an hourglass: it halves the maps three times, and adds a branch from each size on the way back. **Predict** for each of the five: how
# wide is its receptive field, where is it strong, and does it have holes or blocks?


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
    "hourglass": hourglass_block,
}
noise = np.random.default_rng(0).uniform(size=(8, size, size, 3)).astype("float32")
fields = {}
for name, block in blocks.items():
    inputs = keras.Input((size, size, 3))
    draws = []
    for _ in range(here.draws):  # new random weights each time
        draws.append(input_gradient(keras.Model(inputs, block(inputs)), noise))
    fields[name] = np.mean(draws, axis=0)


# %%
def distances(field):
    """Returns how far each pixel is from the centre, in rows or columns."""
    y, x = np.indices(field.shape)
    return np.maximum(abs(y - field.shape[0] // 2), abs(x - field.shape[1] // 2))


def draw_field(ax, field, title, floor=-5):
    shown = np.log10(np.where(field > 0, field / field.max(), np.nan))
    picture = ax.imshow(shown, cmap="viridis", vmin=floor, vmax=0)
    ax.set_title(title, fontsize=10)
    ax.set(xticks=[], yticks=[], facecolor="0.85")
    return picture


# %%
fig, axes = plt.subplots(2, 3, figsize=(11, 7.6), layout="constrained")
axes.flat[-1].axis("off")
for ax, (name, field) in zip(axes.flat, fields.items(), strict=False):
    picture = draw_field(ax, field, name)
    far = distances(field)
    beyond = field[far > 4].sum() / field.sum()
    print(f"{name:18} reaches {far[field > 0].max():2} pixels,", end=" ")
    print(f"{beyond:6.1%} of the gradient beyond 4")
fig.colorbar(picture, ax=axes, ticks=[-5, -4, -3, -2, -1, 0], shrink=0.6).set_label(
    "log10 of |gradient| / the largest"
)
plt.show()

# %%
radius = {name: distances(f)[f > 0].max() for name, f in fields.items()}
assert radius["plain"] == radius["dense"] == 4 and radius["dilated"] == 15
assert radius["pyramid pooling"] == size // 2
assert fields["pyramid pooling"].min() > 0  # no pixel is left out
assert (fields["dense"] > 0).sum() == (fields["plain"] > 0).sum() == 81

# %% [markdown]
# Grey is exactly zero. The plain and the dense block have the same 9 x 9 pixels: dense connections add shorter paths, but no longer ones. Dilation
# reaches 15 pixels with the same number of weights, without holes. Pyramid pooling sees *everything*, in visible regions.
#
# The hourglass has a wide field with steps in it, which is not centred, because it follows the grid of the pooling. If the image moves by one pixel, it
# falls differently on that grid. None of this says what is *good*: a network has to learn to use a large field, which helps only if distant pixels are
# informative.
#
# Dilation, pooling and the hourglass are three ways to enlarge the receptive field. A fourth is *attention*, which computes weights from the image
# itself, for channels (as in RCAN) or for positions (as in the transformers that followed). [Lesson 17](17_efficient.ipynb) builds attention over
# positions by hand, and measures what attention over channels does.
#
# ### Trained networks
#
# How far do trained networks see? We take networks that come with the package, and parts of the motorcycle of 64 x 64 LR pixels.

# %%
corners = ((0, 0), (30, 60), (60, 0), (60, 120))
pieces = np.stack([lr1[y : y + 64, x : x + 64] for y, x in corners])[: here.pieces]
shown_networks = ("edsr", "lapsrn", "rcan", "stacked_hourglass")
trained = {}
for name in (*shown_networks, "rdn", "dbpn", "vdsr")[: here.measured]:
    kind = "small" if name == "vdsr" else "250k"
    trained[name] = load(f"{name}-x4-bsds-{kind}")
print("shipped with this version:", ", ".join(trained))

# %%
trained_fields = {}
for name, model in trained.items():
    luma_only = model.input_shape[-1] == 1
    images = sr.images.luma(pieces) if luma_only else pieces
    trained_fields[name] = input_gradient(model, images)

# %% [markdown]
# **Predict:** which of them see all 64 x 64 pixels? And within how many pixels do you expect 90% of the gradient?

# %%
fig, axes = plt.subplots(1, 4, figsize=(10, 3), layout="constrained")
for ax, name in zip(axes, shown_networks, strict=True):
    picture = draw_field(ax, trained_fields[name], name, floor=-8)
fig.colorbar(picture, ax=axes, ticks=[-8, -4, 0], shrink=0.8).set_label("log10")
plt.show()

# %%
fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
colors = [*plt.get_cmap("tab10").colors[:6], "black"]
styles = ["-", "--", "-.", ":"]
for i, (name, field) in enumerate(trained_fields.items()):
    far = distances(field)
    within = np.array([field[far <= d].sum() for d in range(33)]) / field.sum()
    label = f"{name}: 90% within {np.argmax(within >= 0.9)}"
    rest = np.maximum(1 - within, 1e-9)
    ax.plot(rest, color=colors[i], linestyle=styles[i % 4], label=label)
    print(f"{name:18} 90% within {np.argmax(within >= 0.9):2} LR pixels,", end=" ")
    print(f"99% within {np.argmax(within >= 0.99):2}, last at {far[field > 0].max()}")
ax.set(yscale="log", ylim=(1e-6, 1.2), xlabel="distance in LR pixels")
ax.set_ylabel("share of gradient beyond")
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# Only RCAN and the hourglass reach the border of our parts. EDSR has a theoretical receptive field of 20 pixels to each side, but it gets 90% of the
# gradient from within 4, and the other networks without attention or pooling behave alike. (VDSR reaches only 7, because its layers work on HR pixels,
# and DBPN only 9: this one has five projections, and an 8 x 8 kernel on HR pixels covers just 2 x 2 LR pixels.) RCAN also has 90% within 4 pixels, but
# its curve then stays near two thousandths, because its channel weights depend, weakly, on the means over all pixels. The hourglass needs 11 pixels for
# 90%, nearly three times as many as EDSR. (In VDSR and LapSRN, part of the gradient runs through the interpolated image, so their 90% says less about
# their layers.)
#
# Does a faint gradient have an effect? We paint everything black that is more than 24 pixels from the centre, and compare the *centre* of the output.
# **Predict:** which networks will be affected?

# %%
photo = pieces[:1]
is_far = distances(photo[0, ..., 0])[None, ..., None] > 24
painted = np.where(is_far, 0, photo).astype("float32")
changes = {}
for name in shown_networks:
    pair = (photo, painted)
    if trained[name].input_shape[-1] == 1:
        pair = tuple(sr.images.luma(x) for x in pair)
    before, after = (np.asarray(trained[name](x))[:, 124:132, 124:132] for x in pair)
    changes[name] = 255 * np.abs(after - before).max()
    print(f"{name:18} changes by up to {changes[name]:.4f} grey levels")
assert changes["edsr"] < min(changes["rcan"], changes["stacked_hourglass"])

# %% [markdown]
# EDSR and LapSRN cannot be affected. In this piece, RCAN and the hourglass change by less than 0.1 grey levels, which is invisible. Still, with such
# networks the result can depend on how a photo is cut into tiles. `sr.upscale` measures how far a network sees, and warns where tiles cannot be exact.
#
# ## Four frameworks in one table
#
# | | where its layers work | one 3 x 3 layer, 64 channels, x4 | provides | requires |
# |---|---|---|---|---|
# | pre-upsampling | HR | 34.0 G | any factor with one network | most multiplications |
# | post-upsampling | LR | 2.1 G | depth at a low cost | a new tail for each factor |
# | progressive | LR, then twice that, ... | 2.1 to 8.5 G | all powers of two up to its factor, in one pass | a loss for each level |
# | iterative | between sizes, many times | 0.01 G (hourglass, bottom) to 15.1 G (DBPN, 8 x 8 kernels) | predictions that are corrected | many layers that change the size |
#
# These are all networks of the package, with their default sizes. For EDSR, this is the paper's baseline, not the large network with 43 million
# weights, and for SRCNN, the 9-5-5 network of the journal version (2016). The autoencoder is smaller than its paper's network, and the
# U-Net, the VAE and the hourglass are adapted from other tasks:

# %%
print(f"{'network':18}{'framework':22}{'parameters':>12}{'G Mult-Adds':>13}  paper")
for framework in dict.fromkeys(e.framework for e in sr.models.CATALOGUE.values()):
    for name, entry in sr.models.CATALOGUE.items():
        if entry.framework == framework:
            print(
                f"{name:18}{framework:22}{entry.parameters:12,}"
                f"{entry.giga_mult_adds:13.1f}  {entry.paper}"
            )
print("at x4, for an output of 1280 x 720")

# %% [markdown]
# A transposed convolution is counted once per input pixel, as it is computed. (Papers often count it per output pixel.)
#
# ### Six families at the same budget
#
# A paper's network differs from its predecessor in size, photos and hours of training, so its table does not say what the design is worth. The package
# comes with six families that were trained with the same budget: 219,000 to 254,000 weights, RGB, the same 471 photos, 4,000 steps of
# eight patches of 24 x 24 LR pixels, L1, and SOAP with the same schedule. Their names end in `250k`. We score them on two photos that none of them was
# trained on. **Predict:** which framework is best, and which family needs the fewest Mult-Adds?

# %%
recipes = {
    name: sr.weights.history(sr.weights.find(name))["recipe"]
    for name in here.compared or sr.weights.all_names()
    if "-x4-bsds" in name
}
shown = {n: r for n, r in recipes.items() if "discriminator" not in r}
print(len(shown), "sets:", ", ".join(shown))

# %%
rows, upscaled = [], {}
for name, recipe in shown.items():
    model = load(name)

    def keep(i, lr, sr_image, hr, scores, name=name):
        upscaled[name] = sr_image  # the last photo, the motorcycle

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

# %%
rows.sort(key=lambda row: row["psnr_y"])
families = [row for row in rows if row["name"].endswith("-250k")]
others = [row for row in rows if row not in families]


def print_rows(chosen):
    print(f"{'':23}{'framework':22}{'parameters':>10}{'G':>7}{'steps':>8}  PSNR / SSIM")
    for row in chosen:
        print(
            f"{row['model']:23}{row['framework']:22}{row['parameters']:10,}"
            f"{row['mult_adds'] / 1e9:7.1f}{row['steps']:8,}"
            f"  {row['psnr_y']:.2f} / {row['ssim_y']:.4f}"
        )


print_rows(families)
print(f"{', '.join(pairs.names)}: {result['conditions']}")
print("G: billion Mult-Adds for an output of 1280 x 720")

# %% [markdown]
# All six are within 0.1 dB of each other: at one budget of weights and steps, and with so short a training, the framework hardly matters for these two
# photos. (Computing is not equal, and the common learning rate may suit some families better.) Two photos and one random seed cannot rank neighbours in
# this table. On Set5, which the package's benchmarks use, the hourglass is last, too (30.99 dB), and DBPN moves from the fourth place to the first
# (31.23 dB). What differs is the cost. The hourglass, which works on small maps, needs 5.7 G Mult-Adds, and LapSRN, half of whose layers work at twice
# the size, 37.4 G. But Mult-Adds are not time: in the [benchmarks](../benchmarks/README.md), DBPN takes three times as long as EDSR, although it has
# fewer.
#
# The other shipped sets have other sizes and trainings. **Predict:** can a network of 13,000 weights that was trained ten times as long beat a family
# above?

# %%
print_rows(others)
baselines = {}
for name, model in (("bicubic", sr.models.bicubic(4)), ("linear filter", linear)):
    scores = sr.evaluate(model, pairs)["mean"]
    baselines[name] = scores["psnr_y"]
    count = sum(row["psnr_y"] > scores["psnr_y"] for row in rows)
    print(f"{name}: {scores['psnr_y']:.2f} / {scores['ssim_y']:.4f},", end=" ")
    print(count, "of", len(rows), "sets score higher")

# %%
points = [
    {**row, "group": row["framework"] if row in families else "other budgets"}
    for row in rows
    if row["psnr_y"] > baselines["bicubic"]
]
for point in points:
    point["model"] = point["model"].replace("-250k", "").replace("-small", "-s")
sr.plotting.quality_against_cost(
    points,
    x="mult_adds",
    group="group",
    baselines=baselines,
    title="Shipped sets, x4: PSNR on luma, cat and motorcycle, 4 pixels "
    "cut; Mult-Adds for 1280 x 720",
)

# %% [markdown]
# (In the plot, the six are named without `250k`, and `-s` stands for `-small`.) FSRCNN comes within 0.1 to 0.2 dB of the families, at less than a
# twentieth of the Mult-Adds of most, and ESPCN is level with it. But both upscale luma only, which is what we score, and were trained for ten times as
# many steps or more. EDSR with six times the weights of the families, 8,000 steps, and 40,000 before that at x2, is 0.2 dB above all of them.
# `edsr-small` is the network of `edsr-250k` after half as many steps, and is 0.1 dB below it. So halving the steps costs as much as separates the best
# family from the worst, and more weights with longer training gain more than twice that. A plot such as this one compares training runs as much as
# networks. (Some others had been trained before the steps in the table, too: `espcn` for 40,000 at x2, `fsrcnn` for 60,000 at x2, `srcnn` for 32,000 at
# x3, and `lapsrn-small` for 2,000 at x2.) The upper dashed line is the best linear filter, a network without a hidden layer. `srcnn-small` and
# `vae-small` are hardly above it.
#
# Next, we show the best family of each framework, and for comparison EDSR with 1.5 million weights. **Predict:** which two will look alike, and what
# will the large EDSR show that the others do not?

# %%
best = {row["framework"]: row for row in families}  # sorted: the last one wins
best["large"] = rows[-1]
pictures = {"bicubic": sr.upscale(sr.models.bicubic(4), lr)}
for row in best.values():
    pictures[row["model"]] = upscaled[row["name"]]
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
# The three families can hardly be told apart, so the pictures do not rank the frameworks either. All are sharper than bicubic interpolation. The large
# EDSR is a little clearer at the brake lever and along the disc. The fork has two bright lines along it in HR, and no network shows both.
#
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** Four dilated convolutions have the rates 1, 2, 4 and 8. How many plain 3 x 3 convolutions reach as far, and how many times the
# weights do they have?

# %%
answer = None  # (number of convolutions, times the weights)

sr.course.check(answer, "09.1")

# %% tags=["solution"]
# @title Solution 1
# A plain 3x3 convolution adds one pixel to the radius, one of rate r adds r.
answer = (1 + 2 + 4 + 8, 15 / 4)
sr.course.check(answer, "09.1")
print(answer)

# %% [markdown]
# **Exercise 2.** Take four convolutions of dilation 2 whose weights are all 1. Which share of the square that they reach do they see at all? Compute
# it first, then look at `input_gradient(counting(...))`. Find rates for three convolutions that reach 8 or more and leave no hole. (A layer of rate
# $r$ leaves no hole if the layers before it see at least $r$ pixels side by side.)

# %%
answer = None  # the share, between 0 and 1

sr.course.check(answer, "09.2")

# %% tags=["solution"]
# @title Solution 2
# Only every second row and column: 9 x 9 of 17 x 17 pixels.
answer = 81 / 289
sr.course.check(answer, "09.2")
blank = np.zeros((1, 33, 33, 1), "float32")
fig, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for ax, rates in zip(axes, ([2, 2, 2, 2], [1, 2, 5]), strict=True):
    paths = input_gradient(counting(rates), blank)
    reach = distances(paths)[paths > 0].max()
    holes = (paths[16 - reach : 17 + reach, 16 - reach : 17 + reach] == 0).sum()
    draw_field(ax, paths, f"rates {rates}: reach {reach}, {holes} holes")
plt.show()

# %% [markdown]
# **Exercise 3.** Which share of the Mult-Adds of the paper's LapSRN x4 (`sr.models.lapsrn(4)`, ten convolutions on each level) is spent on the upper
# level? Estimate it from the sizes of the layers, to two digits. Then find, in the table above the plot, two pairs of networks of the same framework
# in which the better one also had more weights or more steps.

# %%
answer = None  # between 0 and 1

sr.course.check(answer, "09.3")

# %% tags=["solution"]
# @title Solution 3
# The same layers, on four times the pixels: 4 of 5 parts.
answer = 4 / 5
sr.course.check(answer, "09.3")
large = sr.models.lapsrn(4)
lower_part = keras.Model(large.input, large.get_layer("x2").output)
share = 1 - sr.models.mult_adds(lower_part, 2, 360, 640) / sr.models.mult_adds(large, 4)
assert abs(share - answer) < 0.02
print(f"{share:.3f}")

# %% [markdown] tags=["solution"]
# Two pairs: `edsr` is better than `edsr-small` (1,517,571 weights against 232,963, and 8,000 steps against 2,000), and `srcnn` is better than
# `srcnn-small` (57,281 weights against 8,129, and 36,000 steps against 2,000). As the framework is the same in each pair, size and training make the
# difference.

# %% [markdown]
# **Exercise 4.** Upscale by 4 with the x2 network alone, by using it twice, and compare the result with the x4 network and bicubic on the motorcycle.
# Count the weights of each. What does the comparison say about sharing weights between levels?

# %%
twice = None  # an image of HR's size

# %% tags=["solution"]
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

# %% [markdown] tags=["solution"]
# Half the weights give most of the gain over bicubic, although the x2 network never saw its own output in training. (The x4 network was also trained
# for 2,000 steps more, so its lead is not due to separate weights alone.) The levels have much in common, and in LapSRN's sequel they share their
# weights.

# %% [markdown]
# **Exercise 5.** Does back-projection improve a *network*? Take the output of `edsr-x4-bsds-small` for both photos, measure its error in LR, and
# back-project it once, twice and three times. What happens to the PSNR? (Call the network on float images, because `sr.upscale` rounds its result. Round
# only for the PSNR, as for `in_8_bits`.)

# %%
corrected = None  # your image

# %% tags=["solution"]
# @title Solution 5
edsr = load("edsr-x4-bsds-small")
for photo, (small, target) in zip(pairs.names, pairs, strict=True):
    small = sr.images.to_float(small)
    image = edsr(small[None])[0].numpy()
    for i in range(4):
        error = small - downscale(image)
        file = sr.images.to_integer(np.clip(image, 0, 1))
        std, psnr = 255 * error.std(), psnr_y(target, file)
        print(f"{photo:10} {i} times: {std:.2f} grey levels in LR, {psnr:.3f} dB")
        image = image + upscale(error[None])[0].numpy()

# %% [markdown] tags=["solution"]
# EDSR's error in LR was small already (0.72 grey levels on the motorcycle, against 4.31 for bicubic), although no term of its loss
# asks for this: an output close to HR is also close to LR when it is scaled down. Back-projection made the error smaller still, and
# the PSNR rose by about a hundredth of a decibel.

# %% [markdown]
# ## Summary
#
# - There are four frameworks: upscale first, last, in steps, or up and down. A layer costs four times as much at twice the side.
# - LapSRN adds a predicted residual on each level. It gives x2 on the way to x4, and can be trained from the lower level up.
# - Back-projection makes an image agree with its LR image. If the downscaling is known and there is no noise, this is necessary but not sufficient.
#   DBPN's unit has the form of that step; its trained kernels need not perform it.
# - A gradient measures the receptive field: the theoretical one where it is not zero, the effective one where it is considerable.
# - Dilation, pooling and an hourglass widen the receptive field, and dense connections do not. Pyramid pooling is global, and makes blocks.
# - Of the trained networks, all but the hourglass get 90% of their gradient from within 2 to 4 LR pixels; the hourglass needs 11.
# - A plot of quality against cost compares training runs as much as designs. At one budget of weights and steps, six families are within 0.1 dB of each
#   other on our photos.
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
# - Gu and Dong, [Local attribution maps](https://arxiv.org/abs/2011.11036), 2021: which pixels a trained network uses.
# - Chen and others, [Activating more pixels in image super-resolution transformer](https://arxiv.org/abs/2205.04437), 2023: how far attention looks.
