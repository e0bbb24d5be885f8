# %% [markdown]
# # 19. Capstone: the class challenge
#
# How to enter the class challenge: train a baseline, hand in results as files, read a leaderboard
# with two winners, and write the function that is graded.
#
# ![PSNR against NIQE of the entries of this lesson](figures/19_goal.jpg)
#
# *The leaderboard of this lesson. Each point is a folder of images that was handed in. The best
# PSNR is on the left, and the lowest NIQE is at the bottom.*
#
# **You will be able to**
#
# - make an entry: train, upscale a folder, and check your files;
# - read a leaderboard whose two goals are won by different entries;
# - choose settings without looking at the test photos;
# - decide whether a difference in mean PSNR over four images is larger than its uncertainty;
# - write the function that is graded by tests, and state how your numbers were measured.
#
# **You need** lesson 4 (the linear filter, SOAP), lesson 8 (EDSR), lesson 10 (GANs), lesson 12
# (PSNR, NIQE) and lesson 13 (LR-PSNR). An entry and a report of your own take several hours more.
#
# **Time:** about 25 minutes to read the core, 35 for the exercises; 2 minutes of computing on two CPU cores (measured), 2 minutes on a GPU in Colab (an estimate).
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/19_capstone.ipynb) · [Student edition](student/19_capstone.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/19_capstone.py) · Previous: [18. Diffusion: denoise step by step](18_diffusion.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/18_diffusion.ipynb)) · [All lessons](README.md)

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
    minutes=(0.5, 2, 2),
    steps=(20, 720, 6000),
    every=(10, 240, 1000),
    fitted=(10, 60, 60),
)

# %% [markdown]
# ## The rules
#
# 1. Everybody upscales the same LR images by 4, and hands in a folder of PNG files with the names
#    of the images.
# 2. Any method is allowed, with any training photos except those of the challenge. You may use
#    your own photos and shipped weights. State what you used.
# 3. There are two winners: the entry with the highest PSNR, and the one with the lowest NIQE among
#    those whose PSNR is not below that of bicubic interpolation.
# 4. A short report shows what you did, one experiment, and a place where your result must not be
#    trusted. The [rubrics](teaching/rubrics.md) give up to 3 points each for reproducible code,
#    quality, the report, and honesty about invented detail. The tests of `handin.py` make up a
#    third of all points. Your rank gives no points.
#
# In class, the teacher keeps the HR photos ([how to set it up](README.md#the-challenge)). In this
# lesson, you are both teacher and student, and have a *practice set*: four fixed crops of two
# photos that come with scikit-image.

# %%
import functools
import json
import pathlib
import tempfile

import keras
import matplotlib.pyplot as plt
import numpy as np
from scipy import stats
from skimage import data

scale = 4
motorcycle = data.stereo_motorcycle()[0]
crops = {
    "cat": data.chelsea()[20:276, 110:366],
    "wheel": motorcycle[220:476, 40:296],
    "engine": motorcycle[200:456, 300:556],
    "shelf": motorcycle[0:256, 470:726],
}
work = pathlib.Path(tempfile.mkdtemp())
for name, crop in crops.items():
    sr.images.write(work / "hr" / f"{name}.png", crop)

# %% [markdown]
# The teacher makes the LR images once, from a folder of HR photos, by bicubic downscaling:

# %%
photos = sr.datasets.folder(work / "hr", scale=scale)
for i, name in enumerate(photos.names):
    sr.images.write(work / "lr" / f"{name}.png", photos[i][0])

fig, axes = plt.subplots(2, 4, figsize=(13, 6.6), layout="constrained")
for column, name in enumerate(photos.names):
    for row, kind in enumerate(("lr", "hr")):
        axes[row, column].imshow(sr.images.read(work / kind / f"{name}.png"))
        axes[row, column].set(title=f"{name}, {kind.upper()}", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## A baseline
#
# You need a baseline to beat, so we train a small EDSR. The photos of the challenge must not be
# used for training it, nor *for choosing* the number of steps, the width or the learning rate. Hold
# out another photo for these choices: here the coffee cup, on which the best of the evaluations is
# chosen (three on a CPU). The astronaut, the rocket and the tissue are for training. For photos of
# your own, use `sr.datasets.folder(FOLDER, scale=4)`.

# %%
others = sr.datasets.samples(scale)
print(others.names)
train = others.subset([0, 3, 5])
held_out = others.subset([1])
baseline = sr.models.edsr(scale, filters=16, num_blocks=4)
print(f"trained on {', '.join(train.names)}; chosen on {', '.join(held_out.names)}")
print(f"{baseline.count_params():,} parameters")

# %% [markdown]
# `TrainingRun` evaluates during the training, keeps the best network, and can resume. SOAP is a
# relative of Adam (lessons 3 and 4). **Predict:** which evaluation will be the best on the held-out
# photo? (On a GPU, it is trained for 6,000 steps, so your results will differ from those described
# below.)

# %%
warmup = here.steps // 10
schedule = keras.optimizers.schedules.CosineDecay(
    0.0, here.steps - warmup, warmup_target=5e-3, warmup_steps=warmup
)
optimizer = sr.optimizers.SOAP(schedule, beta_2=0.99, precondition_frequency=20)
baseline.compile(optimizer, loss="mae")
run = sr.training.TrainingRun(
    work / "run", here.steps, evaluate_every=here.every, validation=held_out
)
batches = functools.partial(
    sr.pipeline.training_batches,
    train,
    lr_patch_size=24,
    batch_size=8,
    min_contrast=0.03,
)
run.fit(baseline, batches)

# %% [markdown]
# Is this better than what needs no training? Besides bicubic interpolation, we take the best linear
# filter (lesson 4), fitted by least squares to patches of the same three photos.

# %%
linear = sr.course.linear_filter(batches().take(here.fitted), scale)
simple = {"bicubic": sr.models.bicubic(scale), "linear filter": linear}
sr.plotting.history(
    run.log,
    baselines={
        name: sr.evaluate(model, held_out)["mean"]["psnr_y"]
        for name, model in simple.items()
    },
    title="the baseline, on the coffee cup",
)

# %% [markdown]
# Here the last evaluation is the best, as is usual when the learning rate decays to zero. It gained
# only 0.08 dB, but the learning rate was small by then, so this does not show that the network has
# converged. After a third of the steps, the network was still below the linear filter, and it ends
# 0.24 dB above it. Of the 0.72 dB above bicubic interpolation, two thirds need no network. To beat
# the baseline, first try a longer schedule and more photos.
#
# ## Entries
#
# An entry is a folder of files. One command in a terminal makes it:
#
#     python -m sr_keras upscale lr --model runs/mine --out results/NAME
#
# (Unpack the teacher's folder as `lr` first, and train with `--out runs/mine`.) In this notebook,
# the function `enter` does the same, and the run is `work / "run"`. For comparison, we also enter
# two shipped networks (EDSR, and `srgan`, which started from it and was trained as a GAN for an
# hour, on the same photos and 603 others), the linear filter and sharpened bicubic interpolation.
# By the rules, `srgan` competes out of contest: it was chosen among four attempts partly on the
# photo of the cat (lesson 10). **Predict** the order of the five by PSNR, and by NIQE.


# %%
def enter(name, upscale):
    """Writes an entry: the results of `upscale` for all LR images."""
    for path in sorted((work / "lr").glob("*.png")):
        result = upscale(sr.images.read(path))
        sr.images.write(work / "results" / name / path.name, result)


def sharpened(lr, amount=1.0):
    """Unsharp masking: bicubic interpolation, plus `amount` times what a blur removes."""
    image = sr.images.to_float(sr.upscale(sr.models.bicubic(scale), lr))
    blurred = keras.ops.average_pool(image[None], 5, 1, "same")[0]
    return sr.images.to_integer(np.clip(image + amount * (image - blurred), 0, 1))


networks = {
    "baseline": sr.models.load(work / "run"),
    "linear": linear,
    "edsr": sr.models.load("edsr-x4-bsds"),
    "srgan": sr.models.load("edsr-x4-photos-srgan"),
}
for name, model in networks.items():
    enter(name, functools.partial(sr.upscale, model))
enter("sharpened", sharpened)

# %% [markdown]
# Check your files before you hand them in. You need no HR photos for this: each LR image must have
# a result of the same name that is four times as high and as wide. In the entry `faulty`, one file
# is missing, and one was never upscaled:


# %%
def faults(entry):
    """Returns what is wrong with the files of an entry, without looking at HR."""
    found = []
    for path in sorted((work / "lr").glob("*.png")):
        height, width, channels = sr.images.read(path).shape
        result = work / "results" / entry / path.name
        if not result.exists():
            found.append(f"there is no {path.name}")
        elif sr.images.read(result).shape != (scale * height, scale * width, channels):
            found.append(f"{path.name} has the wrong size")
    return found


enter("faulty", sharpened)
(work / "results" / "faulty" / "cat.png").unlink()
not_upscaled = sr.images.read(work / "lr" / "engine.png")
sr.images.write(work / "results" / "faulty" / "engine.png", not_upscaled)
for entry in ("sharpened", "faulty"):
    print(f"{entry}:", ", ".join(faults(entry)) or "nothing is wrong")

# %% [markdown]
# ### A score by hand
#
# For each image, the leaderboard computes PSNR on luma, of results rounded to 8 bits, without the
# four outermost rows and columns on each side. It then takes the mean over the images. We do this
# once by hand.


# %%
def luma(image):
    return (16 + image / 255.0 @ [65.481, 128.553, 24.966]) / 255


def psnr_by_hand(entry, name):
    pair = (work / folder / f"{name}.png" for folder in ("hr", f"results/{entry}"))
    hr, result = (luma(sr.images.read(path)[4:-4, 4:-4].astype(float)) for path in pair)
    return float(-10 * np.log10(np.mean((hr - result) ** 2)))


by_hand = [psnr_by_hand("baseline", name) for name in photos.names]
package = sr.evaluation.evaluate_images(work / "results" / "baseline", photos)
np.testing.assert_allclose(np.mean(by_hand), package["mean"]["psnr_y"], atol=1e-3)
for name, value in zip(photos.names, by_hand, strict=True):
    print(f"{name:7} {value:.2f} dB")
print(f"mean {np.mean(by_hand):.2f} dB (baseline x4, luma, 4 pixels cut, 8 bits)")

# %% [markdown]
# ## The leaderboard
#
# The teacher collects the folders and runs one command. It adds bicubic interpolation as an entry,
# names the folders that cannot be scored, and scores the others:

# %%
command = [sys.executable, "-m", "sr_keras", "leaderboard", "results", "--data", "hr"]
command += ["--scale", "4", "--json", "scores.json"]
done = subprocess.run(command, cwd=work, capture_output=True, text=True)
for line in done.stderr.splitlines():
    if line.startswith(("failed", "error")):
        print(line)
means = {
    result["model"]: result["mean"]
    for result in json.loads((work / "scores.json").read_text())["models"]
}
for name, mean in means.items():
    print(
        f"{name:10} PSNR {mean['psnr_y']:.2f} dB, SSIM {mean['ssim_y']:.4f},", end=" "
    )
    print(f"NIQE {mean['niqe']:.2f}, LR-PSNR {mean['lr_psnr']:.1f} dB")
print("mean of four crops x4; PSNR and SSIM on luma, 4 pixels cut, 8 bits")
np.testing.assert_allclose(means["baseline"]["psnr_y"], np.mean(by_hand), atol=1e-3)

# %%
whole = sr.quality.niqe(motorcycle, border=4)
parts = [sr.quality.niqe(crops[name], border=4) for name in crops if name != "cat"]
print(f"NIQE of HR: motorcycle {whole:.2f}, its crops {np.mean(parts):.2f} on average")
sr.plotting.quality_against_perception(
    [{"model": name, **mean} for name, mean in means.items()],
    title="the entries of this lesson",
)

# %% [markdown]
# The two winners are different networks. The shipped EDSR has the highest PSNR, and `srgan` has by
# far the lowest NIQE, with a PSNR above that of bicubic interpolation. EDSR has 1.5 million
# parameters and learned from 471 photos for 90 minutes, starting from a trained x2 network; the
# baseline learned from three photos for a minute. Sharpening and the linear filter improve *both*
# numbers of bicubic interpolation. The baseline is better than either, but by much less than EDSR
# is better than the baseline.
#
# LR-PSNR compares the LR image with the result scaled down again. The networks exceed the 45 dB
# that the NTIRE challenges on the super-resolution space demand (lesson 10), and the linear filter
# has the highest number of all. So it is no measure of detail.
#
# Each crop has only four patches of 96 x 96 pixels, too few for the covariance of NIQE's 36
# numbers. NIQE then tends to be too high, as for HR (3.95 against 3.00, although the whole photo
# also has other content), and 10.35 against 10.84 says little. Compare NIQE only among images of
# the same size, and use larger photos in class. NIQE was also fitted to training photos of both
# shipped networks (lesson 12).

# %%
engine = {
    name: sr.images.read(work / "results" / name / "engine.png")
    for name in ("sharpened", "linear", "baseline", "edsr", "srgan")
}
sr.plotting.comparison(
    {**engine, "HR": crops["engine"]},
    crop=(45, 55, 105, 105),
    columns=3,
    whole=False,
    title="the engine x4",
)

# %% [markdown]
# Look at the cooling fins, the lettering and the red emblem. None of the five results shows the
# fins as separate lines, as HR does, and none has readable letters. Sharpening and the linear
# filter look alike, and leave steps along slanted edges, as the baseline does. EDSR leaves hardly
# any. The network `srgan` covers fins and smooth metal with grain that is not in HR, yet its NIQE
# is the lowest. The leaderboard does not show where such faults are, so your report has to.
#
# ## Does a lead mean anything?
#
# Two entries often differ by a fraction of a decibel, while the scores of single images differ by
# several decibels, so the two means alone say little. But both entries were scored on the *same*
# images, so we compare them image by image, as with the raters of lesson 12. The interval for the
# mean difference $\bar d$ of $n$ images with the sample standard deviation $s$ is
#
# $$\bar d \pm t\, \frac{s}{\sqrt n}, \qquad t = 3.18 \text{ for } n = 4 \text{ and } 95\,\%$$
#
# It assumes independent images and normally distributed differences. Three of our crops are from
# one photo, and two of them overlap a little, so these intervals are too narrow. An interval
# excludes 0 if $\bar d$ is more than $t$ times its *standard error*, $s / \sqrt n$. **Predict:**
# which lead is best established: EDSR's over the baseline, the baseline's over the linear filter, or
# the filter's over sharpening?


# %%
def lead(first, second):
    """Prints the lead of one entry over another, on each image and on average."""
    scores = [
        [psnr_by_hand(entry, name) for name in photos.names]
        for entry in (first, second)
    ]
    difference = np.subtract(*scores)
    n = len(difference)
    mean, error = difference.mean(), difference.std(ddof=1) / np.sqrt(n)
    half = stats.t.ppf(0.975, n - 1) * error
    print(f"{first} - {second}: {difference.round(2)} dB,")
    print(f"  mean {mean:.2f} ± {half:.2f} dB, or {mean / error:.1f} standard errors")


print("images:", ", ".join(photos.names))
lead("edsr", "baseline")
lead("baseline", "linear")
lead("linear", "sharpened")
print("four crops x4, luma, 4 pixels cut, 8 bits")

# %% [markdown]
# None of these intervals contains 0. The filter's lead over sharpening is the best established one:
# it is nearly the same on each image, and amounts to 9.8 standard errors. EDSR's lead is three times
# as large, but varies from 0.25 to 1.68 dB, and amounts to only 3.3, hardly above the 3.18 that it
# needs. The baseline's lead over the filter amounts to 3.7. Since three of the crops are from one
# photo, this is not enough to establish these two, although both are ahead on every crop. To show
# that a *method* is better, train it several times, too, as in lesson 8.
#
# ## What you hand in
#
# - `results/NAME`, the folder of images. Here it is in the temporary folder `work`, and
#   `import shutil; shutil.make_archive("NAME", "zip", work / "results" / "NAME")` packs it into
#   `NAME.zip` beside the notebook;
# - the code that makes it, and `run/log.json` in `work` if you trained;
# - a report by the [rubrics](teaching/rubrics.md);
# - `handin.py`, the [template](teaching/handin/handin.py) of the course. The function `winners` is
#   the part for this lesson. `CONDITIONS` says how you measured (write "none" for the steps and the
#   seed if you did not train). `GENERATED` says what an AI assistant made, or "nothing". It may
#   write code, but not your predictions and conclusions. In a copy of the repository, tests grade
#   the file. (In Colab: `!git clone https://github.com/OWNER/sr_keras` and `%cd sr_keras` first,
#   and download the zip before you close the page.)
#
#       python -m pytest notebooks/teaching/handin --handin handin.py -k "lesson_19 or conditions"
#
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** Write `winners` for your hand-in. It receives a dict of entries, one of which is
# "bicubic", each with `psnr_y` and `niqe`. It returns two names: the entry with the highest PSNR,
# and the entry with the lowest NIQE among those whose PSNR is not below that of bicubic. Bicubic
# itself cannot win. Which entries of this leaderboard does your function return? Answer with their
# numbers.

# %%
leaderboard = {
    "entry 1": {"psnr_y": 28.91, "niqe": 5.9},
    "entry 2": {"psnr_y": 26.70, "niqe": 3.1},
    "entry 3": {"psnr_y": 27.40, "niqe": 4.4},
    "entry 4": {"psnr_y": 27.00, "niqe": 4.2},
    "bicubic": {"psnr_y": 27.00, "niqe": 4.0},
}


def winners(entries):
    """Returns the names of the two winners."""


answer = None  # two numbers of entries

sr.course.check(answer, "19.1")


# %% tags=["solution"]
# @title Solution 1
def winners_by_the_rule(entries):
    limit = entries["bicubic"]["psnr_y"]
    others = {name: row for name, row in entries.items() if name != "bicubic"}
    allowed = {name: row for name, row in others.items() if row["psnr_y"] >= limit}
    return (
        max(others, key=lambda name: others[name]["psnr_y"]),
        min(allowed, key=lambda name: allowed[name]["niqe"]),
    )


names = winners_by_the_rule(leaderboard)
answer = [int(name.split()[1]) for name in names]
sr.course.check(answer, "19.1")
print(names, "and of this lesson:", winners_by_the_rule(means))

# %% [markdown]
# **Exercise 2.** The cheapest improvement needs no training: the self-ensemble of lesson 8. By how
# many dB does `sr.evaluate(..., self_ensemble=True)` raise the mean PSNR of the shipped network
# `edsr-x4-bsds-small` on the four crops? Then enter the results with and without it (`sr.upscale`
# takes the same argument). Is such a small lead established? Execute the leaderboard's cell again
# (it reports `faulty` as before): where does the ensemble stand by PSNR, and by NIQE?

# %%
answer = None  # a number in dB

sr.course.check(answer, "19.2")

# %% tags=["solution"]
# @title Solution 2
small = sr.models.load("edsr-x4-bsds-small")
single = sr.evaluate(small, photos)["mean"]["psnr_y"]
eight = sr.evaluate(small, photos, self_ensemble=True)["mean"]["psnr_y"]
answer = eight - single
sr.course.check(answer, "19.2")
print(f"{single:.3f} -> {eight:.3f} dB: {answer:.3f}")


def scores_of(name):
    folder = work / "results" / name
    mean = sr.evaluation.evaluate_images(folder, photos, extra=("niqe",))["mean"]
    return f"{name}: PSNR {mean['psnr_y']:.2f} dB, NIQE {mean['niqe']:.2f}"


enter("small", functools.partial(sr.upscale, small))
enter("ensemble", functools.partial(sr.upscale, small, self_ensemble=True))
lead("ensemble", "small")  # small, but established: nearly the same on each image
# without "small", the second of seven by PSNR; by NIQE hardly different from the baseline
print(scores_of("ensemble"))

# %% [markdown] tags=["solution"]
# With both entered, the ensemble is second by PSNR, just ahead of the single network (27.20 dB). By
# NIQE, 10.21, it is behind `srgan` and EDSR, and too near to the baseline to rank.

# %% [markdown]
# **Exercise 3.** Seven students hand in networks that are equally good, and the PSNR of each is
# the same number plus normal noise with a standard deviation of 0.1 dB. How far above that number
# is the best one on average? Draw 100,000 classes at random. What does this say about the first
# place?

# %%
answer = None  # a number in dB, with three decimals

sr.course.check(answer, "19.3")

# %% tags=["solution"]
# @title Solution 3
classes = np.random.default_rng(0).normal(scale=0.1, size=(100_000, 7))
answer = classes.max(axis=1).mean()
sr.course.check(answer, "19.3")
print(f"The best of seven equal networks scores {answer:.3f} dB too much on average.")
print("So a first place with such a lead does not show that its network is better.")

# %% [markdown]
# **Exercise 4.** How far can one get without a network? Enter `sharpened` with the `amount` that
# has the lowest NIQE among those whose PSNR is not below that of bicubic (amount 0). Try 0, 0.5, 1,
# 1.5, 2, 2.5 and 3, and choose on the LR and HR of `held_out[0]`, not on the four crops, with
# `sr.evaluation.score(hr, image, border=4)["psnr_y"]` and `sr.quality.niqe(image, border=4)`. Does
# your entry satisfy the rule on the crops, too? Is this a good rule for a challenge?

# %%
chosen_amount = None  # yours

# %% tags=["solution"]
# @title Solution 4
lr_cup, hr_cup = held_out[0]
hr_cup = hr_cup[: lr_cup.shape[0] * 4, : lr_cup.shape[1] * 4]
for amount in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0):
    image = sharpened(lr_cup, amount)
    niqe = sr.quality.niqe(sr.images.to_float(image), border=4)
    psnr_y = sr.evaluation.score(hr_cup, image, border=4)["psnr_y"]
    print(f"amount {amount:3}: {psnr_y:.3f} dB, NIQE {niqe:.2f}")
print("coffee x4, PSNR on luma, 4 pixels cut, 8 bits")

chosen_amount = 2.5
enter("chosen", functools.partial(sharpened, amount=chosen_amount))
enter("with a margin", functools.partial(sharpened, amount=2.0))
print(f"four crops x4: bicubic {means['bicubic']['psnr_y']:.2f} dB")
for name in ("chosen", "with a margin"):
    print(scores_of(name))

# %% [markdown] tags=["solution"]
# On the cup, 2.5 is the choice: it lowers NIQE from 10.98 to 8.25, with a PSNR that is 0.003 dB
# above that of bicubic interpolation. On the four crops its PSNR is too low, 25.66 dB against
# 25.81, so it cannot win. A choice at the very limit on one photo need not hold on others, so
# decide on a margin before the test, such as 0.1 dB on the cup. This gives 2 (27.44 against 27.29
# dB), which satisfies the rule on the crops, too (25.91 dB). But now we have looked at the test
# twice, so the second number is no clean test any more. In the challenge, fix the margin before.
# From an amount of 1 on, NIQE falls on the cup with every step, and so does PSNR. A low NIQE alone
# is therefore not a good goal, and a report has to explain where the sharpness comes from. With an
# amount of 2, sharpening even has a lower NIQE on the crops (9.99) than the trained baseline
# (10.35). So the rule keeps out gross sharpening, but does not reward detail that is true.

# %% [markdown]
# ## Summary
#
# - An entry is a folder of files, and is scored by rules that were fixed in advance.
# - Choose settings on held-out photos, and use the test photos once, at the end.
# - PSNR and NIQE have different winners here, and NIQE can improve while PSNR falls. A report has
#   to say what was invented.
# - Compare entries image by image, because a larger mean difference is not always better
#   established. The best of many equally good entries looks better than it is.
# - State the conditions of every number.
#
# ## Further reading
#
# - Blau and others, [The 2018 PIRM challenge on perceptual image
#   super-resolution](https://arxiv.org/abs/1809.07517), 2018: two goals, and regions of the
#   plane.
# - Agustsson and Timofte, [NTIRE 2017 challenge on single image super-resolution: dataset and
#   study](https://doi.org/10.1109/CVPRW.2017.150), 2017: DIV2K, the dataset of the challenge that
#   EDSR won.
# - Ren and others, [The ninth NTIRE 2024 efficient super-resolution challenge
#   report](https://arxiv.org/abs/2404.10343), 2024: time, memory and parameters as goals.
# - Dodge and others, [Show your work: improved reporting of experimental
#   results](https://arxiv.org/abs/1909.03004), 2019: the best of many trials.
