# %% [markdown]
# # 13. What it makes up: hallucination and bias
#
# Detail that is invented, whose prejudice it is, how to measure both, and what one may conclude from an enlarged face, number plate, retina or sky.
#
# **You will be able to**
#
# - rebuild the idea of PULSE in a few lines, and make a face out of a wall;
# - show that an invention fits the LR image, and say why that proves nothing;
# - measure how a skewed training set becomes a more skewed answer, and why the loss matters;
# - count what was missed and what was invented in a photo of the sky and of a retina;
# - say which conclusions an enlarged image allows, and which it does not.
#
# **You need** lesson 1 (LR images, PSNR) and lesson 4 or 5 (training a network). Lesson 10 is on adversarial networks, one of which is used here ready-made.
#
# **Time:** 1 minute of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate); reading and exercises take longer.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/13_hallucination.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/13_hallucination.py) · Previous: [12. Measuring quality](12_quality.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/12_quality.ipynb)) · Next: [14. No training set](14_zero_shot.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/14_zero_shot.ipynb)) · [All lessons](README.md)

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
    minutes=(0.6, 1, 1),
    side=(288, 384, 384),
    line_steps=(80, 600, 2000),
    plate_steps=(100, 800, 2000),
)

# %% [markdown]
# ## The face of another
#
# PULSE (Menon and others, 2020) takes a tiny photo and searches, among the faces that a generator can draw, for one that *becomes*
# that tiny photo when it is made small.
#
# In June 2020 its users showed what came out: from a pixelated photo of Barack Obama, a white man. The authors answered in their
# [repository](https://github.com/adamian98/pulse): the faces are imaginary and identify nobody; white ones come out much more often; the
# bias is likely inherited from the generator's training set.
#
# How can a face be wrong and yet fit? We build a PULSE in miniature, from 100 small photos of real people. They have no names here, and need none.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
from skimage import data

scale = 4
photos = data.lfw_subset()[:, :24, :24].astype("float32")
faces, walls = photos[:100], photos[100:]  # the second 100 are backgrounds
print(photos.shape, "values", photos.min(), "to", photos.max())


# %%
def show(rows, titles, size=1.5, left=()):
    """Draws rows of grey images, with a title above each column."""
    shape = len(rows), len(rows[0])
    figsize = (size * shape[1], size * shape[0] + 0.3)
    fig, axes = plt.subplots(
        *shape, figsize=figsize, layout="constrained", squeeze=False
    )
    for axis_row, row in zip(axes, rows, strict=True):
        for ax, image in zip(axis_row, row, strict=True):
            ax.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title, fontsize=9)
    for ax, label in zip(axes[:, 0], left, strict=False):
        ax.set_ylabel(label, fontsize=9)
    plt.show()


# %% [markdown]
# LR is bicubic, x4. Without rounding it is linear: each of the 36 LR pixels is a weighted sum of the 576 HR pixels. All the weights are one
# matrix; to get it, we make 576 images small, each with a single white pixel.

# %%
down = sr.degradations.Downscale(scale)
points = np.eye(576, dtype="float32").reshape(24, 24, 576)  # an image to a channel
A = down(points).reshape(36, 576)
package = down(faces[0][..., None])
np.testing.assert_allclose(A @ faces[0].ravel(), package.ravel(), atol=1e-5)
print("A:", A.shape, "so LR leaves", 576 - np.linalg.matrix_rank(A), "numbers open")

# %% [markdown]
# That is the whole trouble: 540 of 576 numbers are free. Something else must fix them: a *prior*, what one believes before one
# looks.
#
# Our prior: a face is the mean face plus a weighted sum of the principal components of the training faces (the pictures along which
# these differ most), and small weights are more likely than large ones. (These are the *eigenfaces* of 1991.)


# %%
def family(images):
    """Returns the mean, and the components, each as long as it is likely."""
    flat = images.reshape(len(images), -1)
    mean = flat.mean(axis=0)
    _, length, components = np.linalg.svd(flat - mean, full_matrices=False)
    return mean, components * length[:, None] / len(images) ** 0.5


def search(lr, prior, start=0.0):
    """Returns the likeliest image of the family that becomes `lr`."""
    mean, components = prior
    seen = A @ components.T  # what LR sees of each component
    start = np.zeros(len(components)) + start
    missing = lr.ravel() - A @ mean - seen @ start
    weights = start + np.linalg.lstsq(seen, missing, rcond=None)[0]
    return np.clip(mean + weights @ components, 0, 1).reshape(24, 24)


# %% [markdown]
# `lstsq` finds the smallest weights that fit; only the cut at black and white spoils the fit a little. The photo we ask for is never
# among the training faces.
#
# **Predict:** will the results be faces? Will they be *these* faces?

# %%
people = (3, 10, 41)
rows = []
for i in people:
    others = family(np.delete(faces, i, axis=0))
    lr = (A @ faces[i].ravel()).reshape(6, 6)
    bicubic = np.array(sr.models.bicubic(scale, channels=1)(lr[None, ..., None]))
    rows.append([lr, bicubic[0, ..., 0], search(lr, others), faces[i]])
show(rows, ["LR", "bicubic", "searched", "HR"], size=1.8)

# %% [markdown]
# Eyes, noses and mouths where bicubic has smudges. And other people: another look, and in the second row a mouth that opens. Which of
# it was seen, and which was made up? Make the results small again, by hand and with the package's *LR-PSNR*:


# %%
def lr_psnr(image, lr):
    again = A @ image.ravel()
    return -10 * np.log10(np.mean((again - lr.ravel()) ** 2))


for (lr, bicubic, found, _), i in zip(rows, people, strict=True):
    lr_file, found_file = sr.images.to_integer(lr), sr.images.to_integer(found)
    package = sr.quality.lr_psnr(lr_file, found_file)
    print(
        f"face {i}: LR-PSNR bicubic {lr_psnr(bicubic, lr):.1f} dB, "
        f"searched {lr_psnr(found, lr):.1f} dB (8 bits, package: {package:.1f} dB)"
    )
    assert lr_psnr(found, lr) > lr_psnr(bicubic, lr)

# %% [markdown]
# The invented face agrees with the LR image far better than bicubic does. A camera of 6 x 6 pixels could not tell it from the person.
# *Consistency is no proof.*
#
# ## One LR image, many truths
#
# The search took the likeliest face. It can start from any other: draw random weights, then correct only what LR sees.
# **Predict:** how alike will five such faces be, and how alike are their LR images?

# %%
lr, prior = rows[1][0], family(np.delete(faces, people[1], axis=0))
generator = np.random.default_rng(1)
drawn = [search(lr, prior, generator.normal(size=99)) for _ in range(4)]
candidates = [search(lr, prior), *drawn, faces[people[1]]]
titles = ["likeliest", *(f"draw {k}" for k in range(1, 5)), "HR"]
small = [(A @ image.ravel()).reshape(6, 6) for image in candidates]
show([candidates, small], titles, left=["HR size", "made small"])
print("LR-PSNR (dB):", *(f"{lr_psnr(image, lr):.1f}" for image in candidates[:-1]))

# %% [markdown]
# One LR image, six faces: mouths, brows and gazes differ. A witness who reports the first one has chosen for you, and has not said so.
#
# ## What the prior never saw
#
# The family knows faces and nothing else. **Predict:** we show it the LR image of a wall. And what will a family of walls and signs
# make of a face?

# %%
wall_prior = family(np.delete(walls, 60, axis=0))
face_prior = family(np.delete(faces, 3, axis=0))
rows = []
for image in (walls[60], faces[3]):
    lr = (A @ image.ravel()).reshape(6, 6)
    rows.append([lr, search(lr, face_prior), search(lr, wall_prior), image])
show(rows, ["LR", "knows faces", "knows walls", "HR"], size=1.8)
for name, row in zip(("wall", "face"), rows, strict=True):
    fits = [f"{lr_psnr(image, row[0]):.1f}" for image in row[1:3]]
    print(f"{name}: LR-PSNR {fits[0]} dB by faces, {fits[1]} dB by walls")

# %% [markdown]
# A face looks out of an empty wall, because nothing else can be drawn. And a person becomes planks. Both fit the LR image, the planks less well,
# since they were cut at black and white. What is missing from the training set cannot appear in the answer, however clearly it stood before
# the camera.
#
# ## Lines that nobody drew
#
# Do trained networks do the same? We give the same small network two educations. In both worlds, every picture is engraved, as on a
# banknote: black lines, four pixels apart, the thinner the lighter it is. In one world they lie, in the other they stand.


# %%
def engrave(photo, standing):
    """Draws a grey photo, uint8, by lines; keeps the mean of every 4 x 4 tile."""
    height, width = (side // 4 for side in photo.shape[:2])
    tiles = photo[: 4 * height, : 4 * width].reshape(height, 4, width, 4)
    grey = np.kron(tiles.mean(axis=(1, 3)) / 255, np.ones((4, 4)))
    turns_white = np.array([0, 2, 3, 1])  # first the upper row of a tile, ...
    turn = np.tile(turns_white, width if standing else height)
    turn = turn[None, :] if standing else turn[:, None]
    lines = np.clip(4 * grey - turn, 0, 1)
    return sr.images.to_integer(lines)[..., None]


# %%
def grey(photo):
    return photo if photo.ndim == 2 else sr.images.luma(photo)[..., 0]


lessons = [grey(photo()) for photo in (data.astronaut, data.coffee, data.rocket)]
cat = grey(data.chelsea())[:, :448]
fig, axes = plt.subplots(1, 2, figsize=(8, 3.3), layout="constrained")
for ax, standing in zip(axes, (False, True), strict=True):
    ax.imshow(engrave(lessons[0], standing)[60:160, 150:300], cmap="gray")
    ax.set_title("standing lines" if standing else "lying lines", fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# **Predict:** the two worlds look nothing alike. How much do their LR images differ, in grey levels?

# %%
for photo in lessons:
    lying, standing = (down(engrave(photo, turned)) for turned in (False, True))
    difference = np.abs(lying.astype(int) - standing)[2:-2, 2:-2].mean()
    print(f"LR images {lying.shape[:2]}: mean difference {difference:.1f} of 255")

# %% [markdown]
# Very little. Lines exactly one LR pixel apart lie beyond what LR can hold, and bicubic downscaling leaves their mean. So LR hardly says which
# lines it came from. Now train, on luma, without flips and turns: they would mix the worlds.


# %%
def educate(standing):
    """Trains an ESPCN x4 where all pictures are engraved."""
    world = [engrave(photo, standing) for photo in lessons]
    pairs = sr.datasets.Pairs(["a", "b", "c"], scale, lambda i: world[i])
    batches = sr.pipeline.training_batches(
        pairs, lr_size=16, batch_size=8, channels=1, augment=False
    )
    model = sr.models.espcn(scale, channels=1, bicubic_skip=True)
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, here.line_steps)
    model.compile(keras.optimizers.Adam(schedule), loss="mae")
    model.fit(batches, steps_per_epoch=here.line_steps, verbose=0)
    return model


knows_lying, knows_standing = educate(False), educate(True)

# %% [markdown]
# Both now enlarge an ordinary photo that they have never seen, of a cat that nobody engraved. For comparison, a shipped EDSR that was trained on
# photos. **Predict** what you will see, and which result will have the best LR-PSNR.

# %%
cat_lr = down(cat[..., None])
models = {
    "bicubic": sr.models.bicubic(scale),
    "EDSR, knows photos": sr.models.load("edsr-x4-bsds-small"),
    "knows lying lines": knows_lying,
    "knows standing lines": knows_standing,
}
cats = {name: sr.upscale(model, cat_lr) for name, model in models.items()}
fits = {
    name: f"LR-PSNR {sr.quality.lr_psnr(cat_lr, image):.1f} dB"
    for name, image in cats.items()
}

# %%
sr.plotting.comparison(
    {"LR": cat_lr, **cats, "HR": cat},
    scores=fits,
    crop=(72, 128, 100, 120),
    columns=3,
    title="Chelsea x4, grey; LR-PSNR: all pixels, 8 bits",
    whole=False,
)

# %%
sr.plotting.slider(
    {name: cats[name] for name in ("knows lying lines", "knows standing lines")},
    crop=(32, 88, 200, 320),
    zoom=2,
    title="One LR image, two educations",
)

# %% [markdown]
# Each network paints its training set into the cat. Nothing in the photo asked for lines, and not one of them is noise or a failure: this is what
# "detail" means where these networks grew up. Fur and skin that a photo network draws have the same origin.
#
# Do they fit the LR image? Not quite. But that is easy to mend: enlarge what is missing to LR, add it, and repeat. This is lesson 1's
# back-projection, and it needs no HR. **Predict:** will it wipe the lines out?


# %%
def make_fit(image, lr, steps=20):
    """Adds what the result, made small, lacks of the LR image."""
    enlarge = sr.models.bicubic(scale, channels=lr.shape[-1])
    image, target = sr.images.to_float(image), sr.images.to_float(lr)
    for _ in range(steps):
        missing = target - down(image)
        image = np.clip(image + np.asarray(enlarge(missing[None])[0]), 0, 1)
    return sr.images.to_integer(image)


for name in ("knows lying lines", "knows standing lines"):
    cats[f"{name}, made to fit"] = make_fit(cats[name], cat_lr)

# %%
for name, image in cats.items():
    hr, found = (sr.images.to_float(x)[None] for x in (cat[..., None], image))
    distance = float(sr.metrics.psnr(hr, found, border=4)[0])
    fit = sr.quality.lr_psnr(cat_lr, image)
    print(f"{name:34} LR-PSNR {fit:.1f} dB, PSNR against HR {distance:.1f} dB")
print("PSNR: grey, 4 pixels cut, 8 bits")
fitted = {name: image for name, image in cats.items() if "fit" in name}
sr.plotting.comparison(
    {**fitted, "HR": cat}, crop=(72, 128, 100, 120), columns=3, whole=False
)

# %% [markdown]
# The lines are still there, and now the engraved cats fit the LR image; against HR they are far worse than bicubic. LR-PSNR can refute: a low
# value says that what was *seen* has been changed. It cannot confirm: anybody can make an invention fit.
#
# ## Who wins: the majority
#
# A world in which nine of ten pictures have lying lines, and LR is grey for both. What should a network answer? Every pixel is a
# bet. **Predict:** what is the best bet if the loss is the absolute error? And the squared error?

# %%
stripes = np.tile([0.0, 0.0, 1.0, 1.0], 6)
lying = np.repeat(stripes[:, None], 24, axis=1)
standing = lying.T
world = np.stack(9 * [lying] + [standing])
answers = {
    "lying lines": lying,
    "standing lines": standing,
    "mean of the world": world.mean(axis=0),
    "median of the world": np.median(world, axis=0),
}

# %%
for name, answer in answers.items():
    absolute = np.abs(world - answer).mean()
    squared = ((world - answer) ** 2).mean()
    print(f"{name:20} absolute error {absolute:.3f}, squared error {squared:.4f}")
lr_both = [down(image[..., None].astype("float32"))[2:4, 2:4] for image in world[8:]]
np.testing.assert_allclose(*lr_both, atol=1e-5)  # away from the border
show([list(answers.values())], list(answers), size=2)

# %% [markdown]
# The absolute error is least for the median: pure lying lines, and the tenth picture is gone without a trace. The squared error is
# least for the mean: a faint weave that shows its doubt. 51% would win like 90%.
#
# An adversarial network must look real, so it may not weave: it draws one or the other, and cannot know which.
#
# ## Eight or B
#
# Real minorities are not invisible, only hard to see. So let us photograph one character of a number plate: an 8 or a B, up to two pixels off
# the centre, x4 smaller, with noise.

# %%
import functools

from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

path = font_manager.findfont("DejaVu Sans Mono:bold")  # it comes with matplotlib
font = ImageFont.truetype(path, 26)


@functools.cache
def character(letter, dx=0, dy=0):
    canvas = Image.new("L", (24, 24), 255)
    draw = ImageDraw.Draw(canvas)
    draw.text((12 + dx, 12 + dy), letter, fill=0, font=font, anchor="mm")
    return np.asarray(canvas, "float32") / 255


# %%
def characters(text, generator):
    shifts = generator.integers(-2, 3, (len(text), 2))
    return np.stack(
        [character(c, *s) for c, s in zip(text, shifts.tolist(), strict=True)]
    )


def photograph(hr, generator):
    lr = (hr.reshape(-1, 576) @ A.T).reshape(-1, 6, 6)
    return (lr + generator.normal(0, 0.06, lr.shape)).astype("float32")


test_generator = np.random.default_rng(99)
test_text = np.array(list("8BB88B8B" * 50))
test_hr = characters(test_text, test_generator)
test_lr = photograph(test_hr, test_generator)

# %% [markdown]
# Four layers at low resolution, then the pixel shuffle. The only thing that changes from network to network is the share of Bs in its training
# set.


# %%
def plate_network():
    conv = keras.layers.Conv2D
    hidden = [conv(32, 3, padding="same", activation="relu") for _ in range(4)]
    last = [conv(16, 3, padding="same"), sr.layers.PixelShuffle(scale)]
    return keras.Sequential([keras.Input((6, 6, 1)), *hidden, *last])


def learn(share_of_b, loss="mae"):
    """Trains, 32 new characters a step; returns what it makes of the test set."""
    generator = np.random.default_rng(0)
    text = np.where(generator.random(32 * here.plate_steps) < share_of_b, "B", "8")
    hr = characters(text, generator)
    lr = photograph(hr, generator)
    keras.utils.set_random_seed(0)
    model = plate_network()
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, here.plate_steps)
    model.compile(keras.optimizers.Adam(schedule), loss=loss)
    model.fit(lr[..., None], hr[..., None], batch_size=32, verbose=0)
    return np.clip(model.predict_on_batch(test_lr[..., None])[..., 0], 0, 1)


# %% [markdown]
# A reader without eyes: which of the two characters, at whichever of the 25 places, is nearest to the picture? On HR it must make no
# mistake.

# %%
places = [(dx, dy) for dx in range(-2, 3) for dy in range(-2, 3)]
patterns = np.stack([character(c, *s) for c in "8B" for s in places]).reshape(50, -1)


def read(images):
    flat = images.reshape(len(images), 1, -1)
    nearest = ((flat - patterns) ** 2).sum(axis=2).argmin(axis=1)
    return np.where(nearest < 25, "8", "B")


assert (read(test_hr) == test_text).all()

# %% [markdown]
# **Predict:** three networks, trained with 50%, 10% and 90% of Bs. The test has as many 8s as Bs. What will the second network do
# with the Bs?

# %%
drawn = {f"{share:.0%} B": learn(share) for share in (0.5, 0.1, 0.9)}
wrong = {}
for name, images in drawn.items():
    result = read(images)
    wrong[name] = [(result[test_text == c] != c).mean() for c in "8B"]
    eight, b = wrong[name]
    print(f"trained with {name}: 8 drawn as B {eight:.0%}, B drawn as 8 {b:.0%}")
assert wrong["10% B"][1] > wrong["50% B"][1] + 0.15
assert wrong["90% B"][0] > wrong["50% B"][0] + 0.05
print(f"{len(test_text)} characters, x4, noise of 0.06, mean absolute error")

# %%
rows = [test_hr, test_lr, *drawn.values()]
labels = ["HR", "LR", *drawn]
show([row[:8] for row in rows], test_text[:8], size=0.95, left=labels)

# %% [markdown]
# The second network turns most Bs into 8s, the third does the reverse, if more rarely. (8 and B do not resemble each other equally from both
# sides: so compare networks, not letters.) Look at the false 8s: a little softer than the true ones. Who sees one alone will not notice.
#
# Was it the fault of LR? The best possible reader knows the 50 patterns and the noise, and computes for each letter how probable LR makes
# it, times its share in the world (*Bayes' rule*). **Predict** how it compares.


# %%
def best(share_of_b):
    distance = ((test_lr.reshape(-1, 1, 36) - patterns @ A.T) ** 2).sum(axis=2)
    distance -= distance.min(axis=1, keepdims=True)
    likelihood = np.exp(-distance / (2 * 0.06**2))
    eight, b = likelihood[:, :25].sum(axis=1), likelihood[:, 25:].sum(axis=1)
    return np.where(share_of_b * b > (1 - share_of_b) * eight, "B", "8")


for share in (0.5, 0.1):
    b_as_8 = (best(share)[test_text == "B"] == "8").mean()
    network = wrong[f"{share:.0%} B"][1]
    print(f"{share:.0%} B: B read as 8: best {b_as_8:.0%}, network {network:.0%}")
    assert b_as_8 < network or share == 0.5

# %% [markdown]
# LR would have allowed far better, even with the same prior. What a short training with the absolute error makes of a rare case is worse than the prior:
# the rare case weighs little. The world of the second network had 10% of Bs. How many are left in its drawings of such a world?

# %%
kept = 0.1 * (1 - wrong["10% B"][1]) + 0.9 * wrong["10% B"][0]
print(f"B in its world: 10%; among its drawings of such a world: {kept:.1%}")

misread = (test_text == "B") & (read(drawn["10% B"]) == "8")
seen = test_lr.reshape(-1, 36)
truth, false = (
    -10 * np.log10(((images.reshape(-1, 576) @ A.T - seen) ** 2).mean(axis=1))
    for images in (test_hr, drawn["10% B"])
)
limit = np.quantile(truth, 0.05)  # rejects one true picture in twenty
print(f"LR-PSNR: HR {truth.mean():.1f} dB, false 8s {false[misread].mean():.1f} dB")
print(f"of the false 8s, {(false[misread] > limit).mean():.0%} pass {limit:.1f} dB")

# %% [markdown]
# This is *bias amplification*: a tenth of the world, and far less of the pictures. Here LR-PSNR would have caught most of the false 8s, because we know
# the noise: a limit that rejects one true picture in twenty lets few of them pass. It has to be asked, though, and what fails can be made to
# fit. Who is charged by a number plate that nobody checked?
#
# ## Faint galaxies
#
# Now photos, and networks trained on photos: a small EDSR, and a small SRGAN, trained adversarially for only 1,000 steps. First the Hubble telescope's deep field. What
# is missing, and what was added?

# %%
shipped = {
    "bicubic": sr.models.bicubic(scale),
    "EDSR": models["EDSR, knows photos"],
    "SRGAN": sr.models.load("edsr-x4-bsds-srgan"),
}
sky = data.hubble_deep_field()[200:, 300:][: here.side, : here.side]
sky_lr = down(sky)
skies = {name: sr.upscale(model, sky_lr) for name, model in shipped.items()}
CONDITIONS = "x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits"

# %%
from sr_keras.evaluation import score


def scores_of(images, hr):
    found = {name: score(hr, image, 4) for name, image in images.items()}
    return {name: (row["psnr_y"], row["ssim_y"]) for name, row in found.items()}


sr.plotting.comparison(
    {"LR": sky_lr, **skies, "HR": sky},
    scores=scores_of(skies, sky),
    crop=(96, 96, 120, 120),
    columns=3,
    title=f"Deep field {CONDITIONS}",
    whole=False,
)

# %% [markdown]
# A simple detector: a source is a local maximum of the brightness after its surroundings are subtracted. To be fair, a source counts as missed only if
# the picture has nothing within 4 pixels *even at half the threshold*; and as invented likewise.

# %%
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.feature import peak_local_max


def sources(image, threshold):
    light = sr.images.to_float(image).mean(axis=2)
    light = ndimage.gaussian_filter(light, 1.5) - ndimage.gaussian_filter(light, 6)
    places = peak_local_max(light, min_distance=3, threshold_abs=threshold)
    return places, light[tuple(places.T)]


def without(places, others):
    """Says of each place whether there is nothing of the others nearby."""
    return cKDTree(others).query(places)[0] > 4


# %% [markdown]
# And a control: the HR photo once more with a little noise. A second photo of the same sky would not give the same list either. **Predict:**
# which column is longer, missed or invented?

# %%
generator = np.random.default_rng(0)
noisy = sr.images.to_float(sky) + generator.normal(0, 0.02, sky.shape)
lists = {"HR with noise": sr.images.to_integer(noisy), **skies}
strict, loose = sources(sky, 0.03), sources(sky, 0.015)
counts, missed = {}, {}
print(f"HR: {len(strict[0])} sources")
for name, image in lists.items():
    found = sources(image, 0.03)[0]
    missed[name] = without(strict[0], sources(image, 0.015)[0])
    counts[name] = missed[name].sum(), without(found, loose[0]).sum()
    print(f"{name:14} missed {counts[name][0]:3}, invented {counts[name][1]}")
assert counts["EDSR"][0] < counts["bicubic"][0]

# %% [markdown]
# Here the sin is omission. EDSR misses about a third as many as bicubic, and hardly anything is invented. But which ones does it miss? Sort
# the sources by their brightness:

# %%
edges = np.quantile(strict[1], np.linspace(0, 1, 6))
group = np.clip(np.searchsorted(edges, strict[1]) - 1, 0, 4)
fig, ax = plt.subplots(figsize=(8, 2.8), layout="constrained")
for k, name in enumerate(missed):
    share = [100 * missed[name][group == g].mean() for g in range(5)]
    ax.bar(np.arange(5) + 0.2 * k - 0.3, share, width=0.2, label=name)
ax.set_xticks(range(5), ["faintest fifth", "2", "3", "4", "brightest fifth"])
ax.set(ylabel="missed (%)", title="Deep field x4, sources by brightness")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# The faintest most often, of course (the control misses none): exactly those for which one would wish for a better photo. *Not found* after upscaling means
# little. And light itself is no longer measured. The median colour of the sky, in grey levels:

# %%
for name, image in {**skies, "HR": sky}.items():
    print(f"{name:8}", np.median(image.reshape(-1, 3), axis=0), "red, green, blue")

# %% [markdown]
# Our SRGAN's sky is one level greener than HR's, EDSR's one level darker in red and in green. That is little, but in a sky as dark as this, one level of
# green is 7%. Who measures colours or brightness measures the network.
#
# ## Vessels in a retina
#
# The retina is smooth, so x4 is an easy task by PSNR. **Predict** which of the two networks a doctor would rather have.

# %%
retina = data.retina()[500:, 200:][: here.side, : here.side]
retina_lr = down(retina)
eyes = {name: sr.upscale(model, retina_lr) for name, model in shipped.items()}
sr.plotting.comparison(
    {"LR": retina_lr, **eyes, "HR": retina},
    scores=scores_of(eyes, retina),
    crop=(160, 100, 120, 120),
    columns=3,
    title=f"Retina {CONDITIONS}",
    whole=False,
)

# %% [markdown]
# A detector again. Vessels are dark ridges in the green channel; what is long enough is thinned to a line, so that we can count its
# pixels. Three pixels of difference are forgiven.

# %%
from skimage import filters, measure, morphology


def vessels(image):
    green = sr.images.to_float(image)[..., 1]
    ridges = filters.sato(green, sigmas=[1.5, 2.5], black_ridges=True) > 0.008
    parts = measure.label(ridges, connectivity=2)
    long = np.bincount(parts.ravel()) >= 40
    long[0] = False  # the background
    return morphology.skeletonize(long[parts])


def near(lines):
    return ndimage.binary_dilation(lines, iterations=3)


# %%
noisy = sr.images.to_float(retina) + generator.normal(0, 0.01, retina.shape)
true = vessels(retina)
lines, invented = {}, {}
print(f"HR: {true.sum()} pixels of vessels")
for name, image in {"HR with noise": sr.images.to_integer(noisy), **eyes}.items():
    lines[name] = vessels(image)
    invented[name] = (lines[name] & ~near(true)).sum()
    lost = (true & ~near(lines[name])).sum()
    print(
        f"{name:14} missed {lost / true.sum():5.1%} of HR's, "
        f"invented {invented[name]:5} pixels"
    )
assert invented["SRGAN"] > invented["EDSR"]

# %%
fig, axes = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
for ax, name in zip(axes, shipped, strict=True):
    picture = np.ones((*true.shape, 3))
    picture[near(lines[name]) & near(true)] = (0.75, 0.75, 0.75)
    picture[near(true & ~near(lines[name]))] = (0, 0.45, 0.7)
    picture[near(lines[name] & ~near(true))] = (0.84, 0.37, 0)
    ax.imshow(picture)
    ax.set_title(name, fontsize=10)
    ax.set(xticks=[], yticks=[])
fig.suptitle("vessels: grey in both, blue missed, orange invented", fontsize=11)
plt.show()

# %% [markdown]
# EDSR finds more than bicubic, and invents far less than a little noise does in the HR photo itself. The SRGAN finds about as much as EDSR and invents about
# twice as much: still far less than the noise, but not by chance. Look where the orange lies. More than half of it is along the borders, where a network has no
# neighbours to go by.
#
# Inside, it lays a fine, faint weave over the eye: look closely at the crop again. A doctor sees that it is no vessel. This detector does not see it at all, since
# it was made for wider ridges; a more sensitive one might count it. Could one have known without HR?

# %%
for name, image in eyes.items():
    fits = sr.quality.lr_psnr(retina_lr, image), sr.quality.lr_psnr(sky_lr, skies[name])
    print(f"{name:8} LR-PSNR retina {fits[0]:.1f} dB, deep field {fits[1]:.1f} dB")

# %% [markdown]
# On the retina, yes: the SRGAN fits its LR image far worse than the others. On the deep field it fits better than bicubic, and that proves nothing. Exercise 4 makes it
# fit on the retina too: watch what the invented lines do then.
#
# A last lesson from the clinic. This detail of another retina comes with scikit-image as "microaneurysms": the two dark spots are lesions.

# %%
lesion = np.repeat(data.microaneurysms()[:100, :100, None], 3, axis=2)
lesion_lr = down(lesion)
spots = {name: sr.upscale(model, lesion_lr) for name, model in shipped.items()}
sr.plotting.comparison(
    {"LR": lesion_lr, **spots, "HR": lesion},
    scores=scores_of(spots, lesion),
    crop=(0, 0, 100, 100),
    columns=3,
    title=f"Microaneurysms {CONDITIONS}",
    whole=False,
)

# %% [markdown]
# The large one stays, the small one becomes a pale smudge in all of them: in LR it is a few grey pixels. Where a diagnosis hangs on it, the
# answer is a better photo, not a better network.
#
# ## What one may conclude
#
# | From an enlarged photo, you may | You may not |
# |---|---|
# | enjoy it, print it, show it with the words "enlarged by a network" | show it as a photo of what was there |
# | look for places worth a second photo | say that something is absent because it is not to be seen |
# | trust what is larger than a few LR pixels, and is in the LR image too | trust what appears in the enlarged one only: a vessel, a ship, a crack |
# | rule out what contradicts the LR image | identify a person or a number plate by detail that was added |
# | report scores on a test set like your photos | carry them over to another camera, species or population |
#
# For a satellite photo as for a number plate, ask six questions before you conclude:
#
# 1. How large is the thing in LR pixels? Below about two, its shape comes from the prior.
# 2. What was the network trained on, and how often did the thing that I look for, and its *absence*, occur there?
# 3. Was the degradation the same?
# 4. Does the result fit the LR image? If not, stop. If it does, go on asking.
# 5. Which other HR images fit as well? Draw some (lesson 11 trains a network for that); if the decision changes, the LR image does not decide it.
# 6. Were errors counted for each group apart, missed and invented, and against a truth?
#
# ## Exercises
#
# Each has a solution below it, folded. Try first.
#
# **Exercise 1.** How many of 576 numbers does a 24 x 24 image keep open when it is made smaller by 3 instead of 4?

# %%
answer = None  # your number

A3 = sr.degradations.Downscale(3)(points).reshape(64, 576)
sr.course.check(answer, 576 - np.linalg.matrix_rank(A3))

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 1
answer = 576 - (24 // 3) ** 2
sr.course.check(answer, 576 - np.linalg.matrix_rank(A3))
print(answer)

# %% [markdown]
# **Exercise 2.** Of all photos with the same LR patch, 70% have a black pixel (0) at some place, 30% a white one (1). What will a perfectly trained
# network draw there if its loss is the mean absolute error, and what with the mean squared error? Two numbers.

# %%
answer = None  # your pair, such as (0.5, 0.5)

bets = np.linspace(0, 1, 101)
pixels = np.array(7 * [0.0] + 3 * [1.0])[:, None]
losses = np.abs(pixels - bets).mean(axis=0), ((pixels - bets) ** 2).mean(axis=0)
sr.course.check(answer, [bets[loss.argmin()] for loss in losses])

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 2
answer = (0.0, 0.3)  # the median, and the mean
sr.course.check(answer, [bets[loss.argmin()] for loss in losses])
print(answer)

# %% [markdown]
# **Exercise 3.** Widen the prior: give `family` both the faces and the walls, but not those we ask for. Does the face still look out of the wall? And what
# does it cost the person?

# %%
wide_prior = None  # your family

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 3
wide_prior = family(np.delete(photos, [3, 160], axis=0))
rows = []
for image, narrow in ((walls[60], face_prior), (faces[3], face_prior)):
    lr = (A @ image.ravel()).reshape(6, 6)
    rows.append([lr, search(lr, narrow), search(lr, wide_prior), image])
show(rows, ["LR", "knows faces", "knows both", "HR"], size=1.8)
for name, row in zip(("wall", "face"), rows, strict=True):
    errors = [np.sqrt(((row[k] - row[3]) ** 2).mean()) for k in (1, 2)]
    print(f"{name}: error (RMS) knows faces {errors[0]:.3f}, both {errors[1]:.3f}")
# what is left of the wall's face is faint, and the person hardly loses anything

# %% [markdown]
# **Exercise 4.** Make the SRGAN's retina fit its LR image (`make_fit`). What happens to LR-PSNR, and what to the invented vessels?

# %%
corrected = None  # your image

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 4
corrected = make_fit(eyes["SRGAN"], retina_lr)
for name, picture in (("SRGAN", eyes["SRGAN"]), ("made to fit", corrected)):
    false = (vessels(picture) & ~near(true)).sum()
    fit = sr.quality.lr_psnr(retina_lr, picture)
    print(f"{name}: LR-PSNR {fit:.1f} dB, invented {false} pixels")
sr.plotting.comparison(
    {"SRGAN": eyes["SRGAN"], "made to fit": corrected, "HR": retina},
    crop=(160, 100, 120, 120),
    columns=3,
    whole=False,
)

# %% [markdown]
# What we saw (read it after your try): now it fits, and the detector finds four times as many invented pixels, most of them along the lower border.
#
# **Exercise 5.** Train the network of the 10% once more, with the squared error (`learn(0.1, "mse")`). Does it misread fewer Bs? A puzzle for experts:
# perfectly trained, would the two losses be read differently by `read`?

# %%
answer = None  # your images

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 5
# Perfectly trained, hardly: where B is likelier than 8, the median is a B, and the
# mean is nearer to a B. The difference is in the training: for the squared error, a
# stroke that is wholly wrong weighs more than many that are a little wrong.
answer = learn(0.1, "mse")
both = {"mae": drawn["10% B"], "mse": answer}
for name, images in both.items():
    share = (read(images)[test_text == "B"] == "8").mean()
    print(f"{name}: B drawn as 8 {share:.0%}")
rows = [test_hr[:8], both["mae"][:8], both["mse"][:8]]
show(rows, test_text[:8], size=0.95, left=["HR", *both])

# %% [markdown]
# ## Summary
#
# - LR leaves most numbers of HR open. A prior fixes them: a family of faces, or the training set of a network. It draws what it knows, also where nothing
#   of the kind is.
# - Many HR images fit one LR image. Fitting it (LR-PSNR) is necessary and proves nothing. Not fitting it is a reason to reject.
# - The absolute error answers with the median, so that a majority takes all; the squared error with the mean, which shows doubt as blur. A crisp result is
#   not a sure one.
# - A skewed training set was drawn more skewed than it was, and more than the LR images made necessary. Count errors for each group apart.
# - Networks omit and invent. On the deep field some of the faintest sources were lost; on the retina an adversarial network drew a faint weave, and bits of
#   lines at the border. Which of the two is worse, the use decides.
# - Conclusions need things that are in the LR image too.
#
# ## Further reading
#
# - Menon, Damian, Hu, Ravi and Rudin, [PULSE](https://arxiv.org/abs/2003.03808), 2020: the search among a generator's faces.
# - Baker and Kanade, [Hallucinating faces](https://doi.org/10.1109/AFGR.2000.840616), 2000, an early use of the word, and
#   [Limits on super-resolution and how to break them](https://doi.org/10.1109/TPAMI.2002.1033210), 2002.
# - Turk and Pentland, [Eigenfaces for recognition](https://doi.org/10.1162/jocn.1991.3.1.71), 1991: our family.
# - Bahat and Michaeli, [Explorable super resolution](https://arxiv.org/abs/1912.01839), 2020: many answers that all fit, to choose from.
# - Lugmayr and others, [SRFlow](https://arxiv.org/abs/2006.14200), 2020: a network that draws different answers, and LR-PSNR.
# - Jalal and others, [Fairness for image generation with uncertain sensitive attributes](https://arxiv.org/abs/2106.12182), 2021: what
#   fairness can mean when PULSE's question is asked again.
# - Zhao and others, [Men also like shopping](https://arxiv.org/abs/1707.09457), 2017: bias amplification.
# - Cohen, Luck and Honari,
#   [Distribution matching losses can hallucinate features in medical image translation](https://arxiv.org/abs/1805.08841), 2018.
# - Bhadra and others, [On hallucinations in tomographic image reconstruction](https://arxiv.org/abs/2012.00646), 2021: how to define them.
# - Illingworth and others, [The HST eXtreme Deep Field](https://arxiv.org/abs/1305.1931), 2013: the photo of the sky.
