# %% [markdown]
# # 7. Perceptual loss: compare features, not pixels
#
# What VGG19 sees in a photo, how its features become a loss for content and one for texture, and what a U-Net gains and loses by them.
#
# **You will be able to**
#
# - write content loss, Gram matrices and total variation by hand, and say what each of them is blind to;
# - look at VGG's features, and choose a layer for a reason;
# - set the weights of several losses by their gradients, and train a network with the sum;
# - report what was gained and what was paid, and say why the new detail must not be trusted.
#
# **You need** lesson 1 (PSNR) and lesson 6 (the U-Net, and why its loss keeps it blurry). What a convolution does is in lesson 3.
#
# **Time:** 3 minutes of computing on two CPU cores (measured), 2 minutes on a GPU in Colab (an estimate); reading and exercises take longer.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/07_perceptual.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/07_perceptual.py) · Previous: [6. U-Net: restore a damaged photo](06_unet.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/06_unet.ipynb)) · Next: [8. EDSR: take out what hurts, then train well](08_edsr.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/08_edsr.ipynb)) · [All lessons](README.md)

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
    minutes=(0.6, 3, 2),
    steps=(1, 90, 400),
    patch=(32, 64, 64),
    tries=(4, 70, 300),
    window=((64, 96), (128, 160), (128, 160)),
    inversions=(1, 3, 3),
    shares=((0, 1), (0, 0.25, 0.5, 0.75, 1), (0, 0.25, 0.5, 0.75, 1)),
)

# %% [markdown]
# ## Two errors of one length
#
# Lesson 6 ended with a suspicion: a network that minimizes pixel errors becomes vague, since fog is the safest answer. Is the eye so lenient
# with fog? Four ways to spoil a photo, all with the same squared error:

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from scipy import ndimage
from skimage import data

height, width = here.window
photo = data.chelsea()[75 : 75 + height, 70 : 70 + width]  # the cat's eye
hr = sr.images.to_float(photo)
blurred = ndimage.gaussian_filter(hr, (1.6, 1.6, 0))
error = np.sqrt(np.mean((blurred - hr) ** 2))
close = (0, 16, 64, 80) if here.fast else (40, 28, 64, 80)  # what figures show

# %%
generator = np.random.default_rng(0)
directions = {
    "brighter": np.ones_like(hr),
    "blur": blurred - hr,
    "noise": generator.normal(size=hr.shape),
    "sharpened": hr - blurred,
}
spoiled = {}
for name, direction in directions.items():
    length = np.sqrt(np.mean(direction**2))
    spoiled[name] = (hr + error * direction / length).astype("float32")
    same = sr.losses.l2(hr[None], spoiled[name][None])
    np.testing.assert_allclose(same, error**2, rtol=1e-4)

# %%
psnr = -20 * np.log10(error)
sr.plotting.comparison(
    {**spoiled, "HR": hr},
    scores={name: f"{psnr:.2f} dB" for name in spoiled},
    crop=close,
    columns=3,
    whole=False,
    title="PSNR in RGB, no border cut",
)

# %% [markdown]
# To the squared error they are equal. To us, one is as good as the photo, and one has lost its fur. A better loss would have to know
# what fur is. Who does?
#
# ## What VGG19 sees
#
# VGG19 learned to tell a thousand kinds of things in 1.3 million photos (ImageNet). It has 16 convolutions of 3 x 3 in five blocks, each block at half the
# size of the one before: `block3_conv3` is the third convolution of the third block. Three dense layers behind them, which make it 19, give the name;
# we never ask for it. We look at its *features*: the maps inside.
#
# The first call looks for its weights, and downloads 80 MB where there are none.

# %%
kinds = [
    "block1_conv1",
    "block2_conv1",
    "block3_conv3",
    "block4_conv4",
    "block5_conv4",
]
layers = [f"vgg19/{kind}" for kind in kinds]
try:
    sr.features.FeatureExtractor(layers[:1]).build()
    weights, vgg = "imagenet", "VGG19"
    print("VGG19 is here, trained on ImageNet.")
except OSError:
    weights, vgg = None, "UNTRAINED VGG19"
    print("VGG19's weights are not here and cannot be downloaded.")
    print("One with random weights stands in: all runs, but what this page says of")
    print("features, textures and results does not hold for it.")
trained = weights is not None
look = sr.features.FeatureExtractor(layers, weights)

# %% [markdown]
# The extractor takes our photos, RGB in [0, 1], and makes of them what VGG19 was trained with: BGR from 0 to 255, minus the mean colour of ImageNet.
# Whoever forgets that gets no error, only bad features.
#
# **Predict:** some maps of the first layer, some of a middle one, some of the last. In which of them will you still recognize the cat?

# %%
maps = [np.asarray(found)[0] for found in look(hr[None])]
fig, axes = plt.subplots(5, 5, figsize=(7.2, 5.8), layout="constrained")
for row, kind, found in zip(axes, kinds, maps, strict=True):
    lively = np.argsort(-found.std(axis=(0, 1)))[:5]  # those that vary most
    for ax, channel in zip(row, lively, strict=True):
        ax.imshow(found[..., channel], cmap="magma", aspect="auto")
        ax.set(xticks=[], yticks=[], title=f"{channel} of {found.shape[2]}")
        ax.title.set_fontsize(8)
    size = f"{found.shape[0]} x {found.shape[1]}"
    row[0].set_ylabel(f"{kind}\n{size}", fontsize=8)
fig.suptitle(
    f"The five liveliest maps of five layers of {vgg}: bright is strong", fontsize=11
)
plt.show()

# %% [markdown]
# First edges and colours, pixel by pixel. Then strokes of fur, in one direction or another. At the end a few bright places, each saying
# "something like this is about here", and nothing of how it is drawn.
#
# ## Content loss by hand
#
# Two pictures have the same content if their features agree: the mean squared difference, as before, but of one layer's features. This is all there is to
# the *perceptual loss* with which Johnson and others (2016) trained for super-resolution; they took VGG16, and call it feature reconstruction.

# %%
middle = layers.index("vgg19/block3_conv3")
a, b = (look(image[None])[middle] for image in (hr, spoiled["blur"]))
by_hand = np.mean((np.asarray(a) - np.asarray(b)) ** 2)

content = sr.losses.Content("vgg19/block3_conv3", vgg_weights=weights)
np.testing.assert_allclose(by_hand, content(hr[None], spoiled["blur"][None]), rtol=1e-3)
print(f"content loss of the blur at block3_conv3: {by_hand:.0f}")

# %% [markdown]
# The number is large, since features are large; only comparisons mean something. **Predict:** of our four pictures, which one will be the
# nearest to HR at the first layer, and which at the later ones?

# %%
distances = {}
for name, image in spoiled.items():
    found = [np.asarray(x)[0] for x in look(image[None])]
    distances[name] = [np.mean((x - y) ** 2) for x, y in zip(found, maps, strict=True)]
relative = {name: np.array(d) / distances["blur"] for name, d in distances.items()}
if trained:
    assert all(relative["brighter"] < 0.5) and all(relative["brighter"][1:] < 0.1)

# %%
fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
for name, values in relative.items():
    ax.semilogy(kinds, values, "o-", label=name)
ax.set(ylabel="content loss, that of blur = 1")
ax.set_title(f"Four errors of {psnr:.2f} dB, judged by layers of {vgg}", fontsize=10)
ax.yaxis.set_major_formatter("{x:g}")
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# To VGG19 the brighter photo is the nearest, and from the second of these layers on the change hardly counts. Blur is the worst nearly everywhere, the very thing that a pixel
# loss rewards. Noise is forgiven sooner.
#
# ## Texture: Gram matrices
#
# Content loss compares place by place. Grass that is drawn as other grass is wrong everywhere, though nobody would mind. For texture it should be enough that
# the same features occur, and occur *together*.
#
# Take two features in four places. Their *Gram matrix* sums, over the places, the product of each two:

# %%
small = np.array([[1, 0], [2, 1], [0, 3], [1, 1]])  # four places, two features
gram = small.T @ small
moved = small[[2, 0, 3, 1]]  # the same values, in other places
np.testing.assert_array_equal(gram, moved.T @ moved)
print(gram)

# %% [markdown]
# On the diagonal, how strong each feature is; beside it, how often both are strong in the same place. *Which* place is summed away.
# On a batch of maps, `einsum` says the same in one line:


# %%
def gram_matrices(features):
    return np.einsum("byxk,byxl->bkl", features, features)


np.testing.assert_array_equal(gram_matrices(small.reshape(1, 2, 2, 2))[0], gram)

# %% [markdown]
# Here are three textures, and a fourth made of the first: gravel, cut into tiles of 16 x 16 pixels, which are then shuffled.


# %%
def rgb(grey):
    return np.repeat(sr.images.to_float(grey)[..., None], 3, axis=-1)


side = 128
gravel, grass, brick = (
    rgb(picture()[:side, :side]) for picture in (data.gravel, data.grass, data.brick)
)
tiles = gravel.reshape(8, 16, 8, 16, 3).transpose(0, 2, 1, 3, 4).reshape(64, 16, 16, 3)
tiles = generator.permutation(tiles).reshape(8, 8, 16, 16, 3)
shuffled = tiles.transpose(0, 2, 1, 3, 4).reshape(side, side, 3)

# %%
textures = {
    "gravel": gravel,
    "gravel, shuffled": shuffled,
    "gravel elsewhere": rgb(data.gravel()[200 : 200 + side, 250 : 250 + side]),
    "gravel, blurred": ndimage.gaussian_filter(gravel, (1.6, 1.6, 0)),
    "grass": grass,
    "brick": brick,
}
texture_layer = "vgg19/block2_conv1"
extract = sr.features.FeatureExtractor([texture_layer, "vgg19/block3_conv3"], weights)
seen = {n: [np.asarray(x) for x in extract(t[None])] for n, t in textures.items()}
grams = {name: gram_matrices(found[0])[0] for name, found in seen.items()}

# %%
strong = np.sort(np.argsort(-np.diag(grams["gravel"]))[:40])  # the 40 strongest
first = grams["gravel"][np.ix_(strong, strong)]
fig, axes = plt.subplots(1, 5, figsize=(11, 2.7), layout="constrained")
for ax, name in zip(axes, list(grams)[1:], strict=True):
    ratio = (grams[name][np.ix_(strong, strong)] + 1) / (first + 1)
    shown = ax.imshow(np.log2(ratio), cmap="RdBu_r", vmin=-3, vmax=3)
    ax.set(xticks=[], yticks=[])
    ax.set_title(name, fontsize=10)
fig.colorbar(shown, ax=axes, label="log2 of the ratio")
fig.suptitle(
    f"Gram matrices, divided by that of the first gravel ({vgg}, block2_conv1,"
    " its 40 strongest features)",
    fontsize=10,
)
plt.show()

# %% [markdown]
# White: the same entry as in the first gravel. The matrix is a fingerprint of the texture, and you can see who belongs to the family. As a
# loss: the squared difference of two fingerprints, relative to the size of the true one.


# %%
def texture_distance(true, pred):
    return np.sum((true - pred) ** 2) / np.sum(true**2)


texture = sr.losses.Texture([texture_layer], vgg_weights=weights)
by_hand = texture_distance(grams["gravel"], grams["grass"])
np.testing.assert_allclose(by_hand, texture(gravel[None], grass[None]), rtol=1e-2)

# %% [markdown]
# **Predict:** which of the five is nearest to the first gravel by its content? And by its texture?

# %%
marks = {}
for name, found in seen.items():
    content_loss = np.mean((found[1] - seen["gravel"][1]) ** 2)
    texture_loss = texture_distance(grams["gravel"], grams[name])
    marks[name] = content_loss, texture_loss
if trained:
    assert marks["gravel, shuffled"][1] < 0.5 * marks["gravel, blurred"][1]
    assert marks["gravel, shuffled"][0] > marks["gravel, blurred"][0]
sr.plotting.comparison(
    textures,
    scores={n: f"content {c:.0f}\ntexture {t:.4f}" for n, (c, t) in marks.items()},
    crop=(0, 0, 96, 96),
    columns=3,
    whole=False,
    title=f"{vgg}: content at block3_conv3, texture at block2_conv1 (128 x 128, cut here)",
)

# %% [markdown]
# To the content loss, blurred gravel is the best of the lot, and shuffled gravel nearly as wrong as a wall. To the texture loss, shuffled gravel and gravel from elsewhere are
# nearly the same, and blur is as far off as the wall. Each is blind where the other sees.
#
# ## A texture out of noise
#
# What does a loss really ask for? Let it paint: start from noise, and change the pixels themselves by gradient descent until the loss is low. No
# network is trained here.


# %%
def paint(loss, start, steps):
    """Changes a picture, in steps of gradient descent, until `loss(picture)` is low."""
    picture = keras.Variable(start)
    optimizer = keras.optimizers.Adam(0.03)
    optimizer.build([picture])

    def step():
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(picture.value))
        gradient = tape.gradient(value, picture.value)
        optimizer.apply([gradient], [picture])
        picture.assign(tf.clip_by_value(picture.value, 0.0, 1.0))
        return value

    if steps > 20:  # fewer are not worth compiling
        step = tf.function(step)
    values = [float(step()) for _ in range(steps)]
    return picture.numpy(), values


# %% [markdown]
# The texture loss of three layers together, as EnhanceNet has them, is the default of the package. **Predict:** will the stones come back in their
# places? Will there be stones at all?

# %%
texture = sr.losses.Texture(vgg_weights=weights)
print(", ".join(texture.texture))
target = gravel[None, :64, :64]
noise = generator.uniform(0.3, 0.7, target.shape).astype("float32")
painted, values = paint(lambda x: texture(target, x), noise, here.tries)
print(f"texture loss from {values[0]:.3f} to {values[-1]:.3f} in {here.tries} steps")
assert values[-1] < values[0]

# %%
sr.plotting.comparison(
    {"start": noise[0], "painted by the texture loss": painted[0], "gravel": target[0]},
    crop=(0, 0, 64, 64),
    whole=False,
    title=f"Pixels painted by the texture loss alone ({vgg})",
)

# %% [markdown]
# Stones, but not these stones: nobody said where. The chequered grain on them is honest, too: these features hardly mind it, so the loss leaves it
# there. Whoever trains with features meets such grain again.
#
# ## Total variation
#
# Against the grain there is an old remedy, which asks neighbouring pixels to be alike: *total variation* (TV) is the mean
# difference to the pixel below, plus that to the pixel on the right. (The package's takes the true image first, as all losses do, and does not look at it.)


# %%
def variation(image):
    down = np.abs(image[1:] - image[:-1])
    across = np.abs(image[:, 1:] - image[:, :-1])
    return down.mean() + across.mean()


for name, image in {"HR": hr, **spoiled}.items():
    package = sr.losses.total_variation(hr[None], image[None])[0]
    np.testing.assert_allclose(variation(image), package, rtol=1e-4)
    print(f"TV {variation(image):.4f} {name}")

# %% [markdown]
# Noise and sharpening have far more than HR, blur far less. So TV alone would love the fog; it needs a partner that holds to the picture. **Predict:** we let
# both paint a noisy cat, with more and more weight on TV. What will the far end look like?

# %%
noisy = hr + generator.normal(0, 0.08, hr.shape).astype("float32")
tv_weights = [0.01, 0.03, 0.1, 0.3]
cleaned = {}
for weight in tv_weights:

    def both(x, weight=weight):
        return sr.losses.l2(noisy[None], x) + weight * sr.losses.total_variation(x, x)

    cleaned[weight] = paint(both, np.clip(noisy, 0, 1)[None], 50)[0][0]


# %%
def psnr_of(image):
    return float(sr.metrics.psnr(hr[None], np.clip(image, 0, 1)[None], luma=True)[0])


pictures = {"noisy": noisy, **{f"TV {w:g}": c for w, c in cleaned.items()}}
scores = {name: psnr_of(image) for name, image in pictures.items()}
assert max(scores.values()) > scores["noisy"] + 1
sr.plotting.comparison(
    pictures,
    scores=scores,
    crop=close,
    columns=3,
    whole=False,
    title="Squared error to the noisy photo plus TV: PSNR to HR on luma, no border cut",
)

# %% [markdown]
# Up and down again: some TV removes the noise, and with it part of the fur; more of it removes the fur and leaves flat areas. TV has no idea of photos. It is a
# helper with a small weight.
#
# ## What a layer still knows
#
# Which layer should a content loss use? Let content loss paint, from noise, with a little TV against the grain. What comes back is what the layer knows; what
# does not is what it forgives.

# %%
eye = hr[None, 14:62, 38:86]  # 48 x 48 pixels
start = generator.uniform(0.3, 0.7, eye.shape).astype("float32")
inverted = {}
kinds_tried = ["block2_conv1", "block5_conv1", "block3_conv3"][: here.inversions]
for kind in sorted(kinds_tried):
    loss = sr.losses.Content(f"vgg19/{kind}", vgg_weights=weights)
    size = float(loss(np.full_like(eye, 0.5), eye))  # so that all begin alike

    def asks(x, loss=loss, size=size):
        return loss(eye, x) / size + 0.1 * sr.losses.total_variation(x, x)

    inverted[kind] = paint(asks, start, here.tries)[0][0]

# %%
sr.plotting.comparison(
    {"start": start[0], **inverted, "HR": eye[0]},
    crop=(0, 0, 48, 48),
    columns=5,
    whole=False,
    title=f"Painted by the content loss of one layer of {vgg}, {here.tries} steps",
)

# %% [markdown]
# The early layer gives back nearly each pixel: as a loss it is almost a pixel loss. block3_conv3 keeps edges, colours and strokes of fur. block5_conv1 keeps stripes and arcs, and is free
# with colours (more steps would bring some back). Hence a layer in the middle. (SRGAN takes one at the end, and a second network as a judge: lesson 10.)
#
# ## The same U-Net, again
#
# Now to lesson 6's U-Net, trained with the mean absolute error on some 470 photos. It gets four photos that it never saw, damaged by blur, noise and JPEG. Two of
# them are nothing but texture.

# %%
motorcycle = data.stereo_motorcycle()[0]
crops = {
    "cat": photo,
    "motorcycle": motorcycle[260 : 260 + height, 360 : 360 + width],
    "grass": sr.images.to_integer(
        rgb(data.grass()[300 : 300 + height, 100 : 100 + width])
    ),
    "gravel": sr.images.to_integer(
        rgb(data.gravel()[100 : 100 + height, 100 : 100 + width])
    ),
}
d = sr.degradations
damage = d.Compose([d.GaussianBlur(1.2), d.GaussianNoise(0.03), d.JPEG(60)])
originals = np.stack(list(crops.values()))
damaged = damage(originals, seed=0)
inputs, targets = sr.images.to_float(damaged), sr.images.to_float(originals)


# %%
def restore(model, images):
    return keras.ops.convert_to_numpy(model(images))


lesson_6 = sr.models.load("unet-x1-bsds-small")
restored = {"lesson 6": restore(lesson_6, inputs)}
sr.plotting.comparison(
    {"damaged": inputs[2], "lesson 6": restored["lesson 6"][2], "HR": targets[2]},
    crop=close,
    columns=3,
    whole=False,
    title="Grass, restored by the U-Net of lesson 6",
)

# %% [markdown]
# The noise is weaker, and the grass has turned into felt: where the network could not know, it answered with something near the mean.
#
# ## Weights: look at gradients
#
# Pixels, content, texture: how much of each? Their values are no help: a content loss of ten thousands, an L1 of hundredths. What moves a network are the
# *gradients*, here of each loss by the pixels of the result. **Predict:** what will each loss want to change in the grass?

# %%
texture_layers = ["vgg19/block1_conv1", "vgg19/block2_conv1", "vgg19/block3_conv1"]
terms = {
    "L1": (1.0, sr.losses.L1()),
    "content": (3e-6, content),
    "texture": (0.3, sr.losses.Texture(texture_layers, vgg_weights=weights)),
    "TV": (0.01, sr.losses.TotalVariation()),
}


def pull(loss, true, pred):
    """Returns a loss and what it wants to change: the negative gradient."""
    pred = tf.constant(pred)
    with tf.GradientTape() as tape:
        tape.watch(pred)
        value = loss(true, pred)
    return float(value), -tape.gradient(value, pred).numpy()


# %%
part = np.s_[2:3, :64, :64]
pulls, lengths = {}, {}
for name, (weight, loss) in terms.items():
    value, change = pull(loss, targets[part], restored["lesson 6"][part])
    pulls[name] = change[0]
    lengths[name] = length = weight * np.linalg.norm(change)
    print(f"{name:8} value {value:9.4f}, weight {weight:g}: gradient {length:.5f}")
if trained:
    assert min(lengths["content"], lengths["texture"]) > 2 * lengths["L1"]

# %%
fig, axes = plt.subplots(1, 6, figsize=(9.6, 2.1), layout="constrained")
axes[0].imshow(targets[part][0])
axes[1].imshow(np.clip(restored["lesson 6"][part][0], 0, 1))
for ax, change in zip(axes[2:], pulls.values(), strict=True):
    limit = np.quantile(np.abs(change.mean(axis=-1)), 0.99)
    ax.imshow(change.mean(axis=-1), cmap="gray", vmin=-limit, vmax=limit)
for ax, name in zip(axes, ("HR", "lesson 6", *pulls), strict=True):
    ax.set(xticks=[], yticks=[])
    ax.set_title(name, fontsize=10)
fig.suptitle(
    "What each loss wants: brighter where it is white (each on a scale of its own)",
    fontsize=10,
)
plt.show()

# %% [markdown]
# L1 knows only signs: brighter here, darker there, everywhere with the same force. Content asks for strokes, texture for deeper holes and brighter blades wherever some are already,
# TV for less of everything.
#
# The printed gradients have their weights in them; without, that of content would be millions of times that of L1. The weights are chosen so that
# content and texture pull some ten times as hard as L1. It is only to hold brightness and colours: features forgive a shift of them, as the brighter cat
# showed. TV is left out. All in one loss:

# %%
loss = sr.losses.WeightedSum(
    [
        (1.0, "l1"),
        (
            1.0,
            sr.losses.Perceptual(
                content={"vgg19/block3_conv3": 3e-6},
                texture=dict.fromkeys(texture_layers, 0.3),
                vgg_weights=weights,
            ),
        ),
    ]
)
value, change = pull(loss, targets[part], restored["lesson 6"][part])
summed = sum(terms[name][0] * pulls[name] for name in ("L1", "content", "texture"))
assert np.linalg.norm(change[0] - summed) < 0.01 * np.linalg.norm(summed)

# %% [markdown]
# ## Training on, twice
#
# A fair experiment changes one thing. Two copies of lesson 6's network go on with the same patches of four photos, which are no test photos, and the same damage,
# for the same number of steps: one with L1 alone, one with the sum.

# %%
photos = {
    "astronaut": data.astronaut(),
    "coffee": data.coffee(),
    "tissue": data.immunohistochemistry(),
    "brick": sr.images.to_integer(rgb(data.brick())),
}
train = sr.datasets.Pairs(
    list(photos), 1, lambda i: list(photos.values())[i], degradation=damage
)
batches = sr.pipeline.training_batches(train, lr_size=here.patch, batch_size=4)
batches = [[np.asarray(x) for x in pair] for pair in batches.take(here.steps)]
patches_in, patches_out = (np.concatenate(x) for x in zip(*batches, strict=True))
print(patches_in.shape, "->", patches_out.shape)

# %%
ours = {}
for name, objective in {"ours, L1": sr.losses.L1(), "ours, perceptual": loss}.items():
    model = sr.models.unet(1, filters=16, weights="bsds-small")
    schedule = keras.optimizers.schedules.CosineDecay(2e-4, here.steps)
    model.compile(
        keras.optimizers.Adam(schedule), objective, run_eagerly=here.fast
    )  # so few steps are not worth compiling
    model.fit(patches_in, patches_out, batch_size=4, shuffle=False, verbose=0)
    ours[name] = model
    restored[name] = restore(model, inputs)

# %% [markdown]
# The package ships such a network: the same start, trained for more steps, on those 470 photos, with damage of all strengths, and other weights on the losses. Its file
# says how.

# %%
shipped = sr.models.load("unet-x1-bsds-perceptual")
restored["shipped"] = restore(shipped, inputs)
training = sr.pretrained.training_of(sr.pretrained.find("unet-x1-bsds-perceptual"))
recipe = training["recipe"]
print(f"{recipe['steps']} steps, {recipe['batch_size']} patches,", end=" ")
print(f"{recipe['lr_size']} pixels wide, {training['seconds'] / 60:.0f} minutes")
for weight, term in recipe["loss"]["config"]["terms"]:
    options = term["config"]
    print(f"{weight:g} x {options['name']}")
    for part_of_it in ("content", "texture"):
        for layer, share in options.get(part_of_it, {}).items():
            print(f"    {part_of_it} at {layer}: {share:g}")

# %% [markdown]
# Four questions to each result. PSNR. The content loss at block4_conv4 and the texture loss at block2_conv2: layers that the training did not use, though the same VGG19
# has them, so it is no independent witness. And without VGG: how much fine contrast is there, of that in HR?

# %%
judge = sr.features.FeatureExtractor(
    ["vgg19/block4_conv4", "vgg19/block2_conv2"], weights
)


def fine(images):
    """Returns the contrast of what a Gaussian of one pixel would blur away."""
    luma = sr.images.luma(images)[..., 0]
    return (luma - ndimage.gaussian_filter(luma, (0, 1, 1))).std(axis=(1, 2))


deep, shallow = (np.asarray(x) for x in judge(targets))


# %%
def judged(images):
    """Returns PSNR (dB), content, texture and share of fine contrast, for each image."""
    images = sr.images.to_float(sr.images.to_integer(images))
    psnr = np.asarray(sr.metrics.psnr(targets, images, luma=True, border=1))
    found = [np.asarray(x) for x in judge(images)]
    distance = np.mean((found[0] - deep) ** 2, axis=(1, 2, 3))
    texture = [
        texture_distance(gram_matrices(a[None]), gram_matrices(b[None]))
        for a, b in zip(shallow, found[1], strict=True)
    ]
    return np.stack([psnr, distance, texture, fine(images) / fine(targets)], axis=1)


# %%
table = {name: judged(x) for name, x in {"damaged": inputs, **restored}.items()}
means = {name: rows.mean(axis=0) for name, rows in table.items()}
print(f"{'mean of four':18} PSNR (dB)  content  texture  fine contrast")
for name, (psnr, distance, texture_value, contrast) in means.items():
    print(
        f"{name:18} {psnr:8.2f} {distance:9.0f} {texture_value:8.3f} {contrast:10.0%}"
    )
print(f"(PSNR on luma, 1 pixel cut, 8 bits; {vgg} on RGB, no border cut)")
assert means["lesson 6"][0] > means["damaged"][0] + 0.2
if trained and not here.fast:  # too few steps in FAST
    assert means["ours, L1"][2] > means["ours, perceptual"][2]
    assert means["ours, L1"][3] < means["ours, perceptual"][3]

# %% [markdown]
# Compare the two rows called *ours*: one start, the same patches, the same steps. PSNR hardly tells them apart. In texture and in fine contrast the perceptual one is clearly
# nearer to HR. (FAST takes too few steps for that.) In our run it is a little better than their start, *lesson 6*, in all four columns; most of the difference is texture
# and contrast that L1 alone has lost. The last row is another training: nearest to HR in texture and contrast, and paid for in PSNR and in content.
#
# **Predict:** where will you see it first, in the cat, in the grass or on the motorcycle?


# %%
def show(index):
    name = list(crops)[index]
    pictures = {"damaged": inputs[index]}
    pictures.update({n: images[index] for n, images in restored.items()})
    scores = {}
    for n in pictures:
        psnr, _, texture_value, _ = table[n][index]
        scores[n] = f"{psnr:.2f} dB, texture {texture_value:.3f}"
    return sr.plotting.comparison(
        {**pictures, "HR": targets[index]},
        scores,
        close,
        columns=3,
        whole=False,
        title=f"{name}: PSNR on luma, 1 pixel cut; texture by {vgg}, block2_conv2",
    )


show(0)

# %%
show(2)

# %%
show(1)

# %%
sr.plotting.slider(
    {"L1": restored["ours, L1"][2], "perceptual": restored["ours, perceptual"][2]},
    crop=close,
    zoom=5,
    title="Grass: one network, the same patches and steps, two losses",
)

# %% [markdown]
# At edges, if you compare the two of *ours*: with the perceptual loss they are a little harder, most visibly on the motorcycle, and strokes of fur and grass have more
# contrast. In PSNR only the cat pays for it; with *shipped* all photos do, the cat most. The blades of HR are not back, since what the damage took is gone.
#
# Look also for what never was there: in *ours, perceptual* a bluish seam under the bright tube of the motorcycle, and in *shipped* a grid, coloured even on the grey
# grass. VGG19 hardly minds the grid, as the chequered stones said, and nobody else was asked.
#
# ## A dial between the two
#
# The shipped perceptual network has the layers of lesson 6's, and began as it. So their weights can be mixed, number by number: nothing is trained. **Predict:** what will a mixture
# of half and half do?


# %%
blend = sr.models.unet(1, filters=16)


def mixture(share):
    pairs = zip(lesson_6.get_weights(), shipped.get_weights(), strict=True)
    blend.set_weights([(1 - share) * a + share * b for a, b in pairs])
    return restore(blend, inputs)


dial = {share: judged(mixture(share)).mean(axis=0) for share in here.shares}
np.testing.assert_allclose(dial[1][0], means["shipped"][0], atol=0.01)

# %%
points = np.array(list(dial.values()))
fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
labels = {2: f"texture loss ({vgg}, block2_conv2)", 3: "fine contrast, HR = 1"}
for ax, (column, label) in zip(axes, labels.items(), strict=True):
    ax.plot(points[:, 0], points[:, column], "o-", color="#0072B2")
    for share, point in dial.items():
        ax.annotate(f"  {share:.0%}", (point[0], point[column]), fontsize=9)
    ax.set(xlabel="PSNR (dB)", ylabel=label)
    ax.xaxis.set_major_locator(plt.MaxNLocator(5))
    ax.margins(0.15)
fig.suptitle(
    "Share of the perceptual weights; mean of four photos, luma, 1 pixel cut",
    fontsize=11,
)
plt.show()

# %% [markdown]
# A continuous path from one to the other, with every step of it a usable network. In our run the first half of the way brings about two fifths of the gain in texture,
# and costs less than a quarter of the PSNR that the whole way costs. Where to stop is no question of networks: it depends on whether somebody enjoys the picture or measures in it.
#
# ## Detail that chance decides
#
# Is the new detail true? A test: damage one photo several times. Blur and JPEG stay, only the noise is drawn anew. What was in the photo should come back the
# same each time. **Predict:** for which loss do the results differ more?

# %%
same = np.repeat(originals[:1], 4, axis=0)
draws = sr.images.to_float(damage(same, seed=7))  # each image has noise of its own
unsure = {}
for name, model in {**ours, "shipped": shipped}.items():
    results = sr.images.luma(np.clip(restore(model, draws), 0, 1))
    unsure[name] = 255 * results.std(axis=0)[..., 0]
    print(f"{name:17} results differ by {unsure[name].mean():.2f} grey levels")
print("(standard deviation over four draws of the noise, luma, mean over pixels)")
if trained and not here.fast:
    assert unsure["ours, perceptual"].mean() > unsure["ours, L1"].mean()

# %%
top, left, high, wide = close
part = np.s_[top : top + high, left : left + wide]
fig, axes = plt.subplots(1, 4, figsize=(9.6, 2), layout="constrained")
axes[0].imshow(hr[part])
axes[0].set_title("HR", fontsize=10)
limit = max(np.quantile(x, 0.99) for x in unsure.values())
for ax, (name, deviation) in zip(axes[1:], unsure.items(), strict=True):
    shown = ax.imshow(deviation[part], cmap="magma", vmin=0, vmax=limit)
    ax.set_title(name, fontsize=10)
for ax in axes:
    ax.set(xticks=[], yticks=[])
fig.colorbar(shown, ax=axes[1:], label="deviation")
plt.show()

# %% [markdown]
# Where the maps are bright, chance decided what was drawn; of *ours*, the perceptual one has more of it. A sharper pen draws the noise, too. So: lovely to look at,
# and nothing to measure in, to diagnose from or to accuse with.
#
# ## Exercises
#
# Each has a solution below it, folded. Try first.
#
# **Exercise 1.** Three places, two features: (1, 2), (0, 1), (3, 0). Compute the Gram matrix on paper. Then exchange the first and the last place, and
# compute it again.

# %%
answer = None  # [[?, ?], [?, ?]]

three = np.array([[1, 2], [0, 1], [3, 0]])
sr.course.check(answer, gram_matrices(three.reshape(1, 1, 3, 2))[0])

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 1
# 1 + 0 + 9 = 10, 4 + 1 + 0 = 5, and together 2 + 0 + 0; the order does not matter.
answer = [[10, 2], [2, 5]]
sr.course.check(answer, gram_matrices(three.reshape(1, 1, 3, 2))[0])
print(gram_matrices(three[[2, 1, 0]].reshape(1, 1, 3, 2))[0])

# %% [markdown]
# **Exercise 2.** Two pictures of 8 x 8 pixels, half black (0) and half white (1): one split into a left and a right half, one a chessboard of single pixels. What is the
# TV of each? What does it say about fine texture under TV?

# %%
answer = None  # (of the halves, of the chessboard)

halves = np.tile(np.arange(8) >= 4, (8, 1)).astype(float)
chessboard = np.indices((8, 8)).sum(axis=0) % 2 * 1.0
sr.course.check(answer, [variation(halves), variation(chessboard)], tolerance=1e-3)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 2
# Halves: no difference down, and across one of seven. Chessboard: all differ by 1.
# The same pixels cost 14 times as much: TV is an enemy of fine texture.
answer = [1 / 7, 2]
sr.course.check(answer, [variation(halves), variation(chessboard)], tolerance=1e-3)

# %% [markdown]
# **Exercise 3.** Somebody gives VGG photos in [0, 1] where it wants 0 to 255. `content(hr[None] / 255, ...)` does the same to ours. By what factor does the content loss of the blur
# shrink at block3_conv3? (Guess, then compute it. Were VGG19 linear, it would be 255 x 255.) What would that do to a training with the weights above?

# %%
answer = None  # the factor

wrong = float(content(hr[None] / 255, spoiled["blur"][None] / 255))
right = float(content(hr[None], spoiled["blur"][None]))
sr.course.check(answer, right / wrong, tolerance=1)


# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 3
answer = right / wrong
sr.course.check(answer, right / wrong, tolerance=1)
print(f"{answer:.0f} times smaller: the same weight would leave almost nothing of it")
for divisor, blur in ((1, right), (255, wrong)):
    image = spoiled["sharpened"][None]
    other = float(content(hr[None] / divisor, image / divisor))
    print(f"divided by {divisor:3}: sharpened {other / blur:.2f} of blur")
# No error is raised, but another order: to VGG all photos are nearly the same black.

# %% [markdown]
# **Exercise 4.** The Gram matrix of a whole image knows no place at all. EnhanceNet takes those of patches of 16 x 16 pixels. Write this, for one image and
# block1_conv1, as the mean of the relative distances of all patches. Compare both for a picture of gravel beside brick, and its halves exchanged.

# %%
beside = np.concatenate([gravel[:, :64], brick[:, :64]], axis=1)
exchanged = np.roll(beside, 64, axis=1)


def patch_texture(true, pred): ...  # features, (1, height, width, channels)


# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 4
def patches(features, size=16):
    _, high, wide, depth = features.shape
    x = features.reshape(high // size, size, wide // size, size, depth)
    return x.transpose(0, 2, 1, 3, 4).reshape(-1, size, size, depth)


def patch_texture(true, pred):
    true, pred = (gram_matrices(patches(x)) for x in (true, pred))
    squares = ((true - pred) ** 2).sum(axis=(1, 2))
    return np.mean(squares / (true**2).sum(axis=(1, 2)))


a, b = (np.asarray(look(x[None])[0]) for x in (beside, exchanged))
whole = texture_distance(gram_matrices(a), gram_matrices(b))
print(f"halves exchanged, at block1_conv1: whole image {whole:.4f},", end=" ")
print(f"patches {patch_texture(a, b):.4f}")
assert patch_texture(a, b) > 10 * whole

# %% [markdown]
# **Exercise 5.** Content of one picture, texture of another: this is *style transfer* (Gatys and others). Let `paint` find a picture with the content of the cat and the
# texture of `brick`, starting from the cat, 64 x 64 pixels. How large must the weight of texture be, before the eye is lost?

# %%
picture = None  # your picture

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 5
cat = hr[None, :64, 30:94]
style = brick[None, :64, :64]
size = float(content(np.full_like(cat, 0.5), cat))
both_losses = sr.losses.Texture(vgg_weights=weights)
stylized = {}
for weight in (0.1, 3.0):  # a little: grey fur; much: joints of the wall in the eye

    def asks(x, weight=weight):
        return content(cat, x) / size + weight * both_losses(style, x)

    stylized[f"texture x {weight:g}"] = paint(asks, cat, here.tries // 2)[0][0]
sr.plotting.comparison(
    {"content": cat[0], "texture": style[0], **stylized},
    crop=(0, 0, 64, 64),
    columns=4,
    whole=False,
)

# %% [markdown]
# ## Summary
#
# - A content loss compares features of a trained network, place by place. It forgives what that layer does not see, brightness for one.
# - A Gram matrix says which features occur together. A texture loss knows no places: shuffled tiles are almost the same to it.
# - Total variation wants flat pictures. It removes grain as a small helper, and texture as a large one.
# - Losses are balanced by their gradients, not by their values. A little L1 holds colours and places.
# - A network trained on with them draws more texture at about the same or a lower PSNR. The detail is plausible, and partly a matter of chance: nothing may
#   be measured in it.
#
# Lesson 10 goes one step further: a second network, trained at the same time, judges whether a picture looks real.
#
# ## Further reading
#
# - Simonyan and Zisserman, [Very deep convolutional networks for large-scale image recognition](https://arxiv.org/abs/1409.1556), 2014: VGG.
# - Gatys, Ecker and Bethge, [Texture synthesis using convolutional neural networks](https://arxiv.org/abs/1505.07376), 2015, and
#   [A neural algorithm of artistic style](https://arxiv.org/abs/1508.06576), 2015: Gram matrices, and style transfer.
# - Johnson, Alahi and Fei-Fei, [Perceptual losses for real-time style transfer and super-resolution](https://arxiv.org/abs/1603.08155), 2016.
# - Mahendran and Vedaldi, [Understanding deep image representations by inverting them](https://arxiv.org/abs/1412.0035), 2014: what a layer still knows.
# - Sajjadi, Schölkopf and Hirsch, [EnhanceNet](https://arxiv.org/abs/1612.07919), 2016: texture losses for super-resolution.
# - Rudin, Osher and Fatemi, [Nonlinear total variation based noise removal algorithms](https://doi.org/10.1016/0167-2789(92)90242-F), 1992.
# - Wang and others, [ESRGAN](https://arxiv.org/abs/1809.00219), 2018: the mixture of two networks' weights.
# - Blau and Michaeli, [The perception-distortion tradeoff](https://arxiv.org/abs/1711.06077), 2018: why PSNR has to fall.
