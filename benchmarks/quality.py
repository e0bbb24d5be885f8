"""How good the shipped networks are, what they cost, and how they were trained.

    python benchmarks/quality.py --data FOLDER_OF_BENCHMARK_SETS [--time]

Every set of shipped weights is scored by the papers' protocol on Set5 and Set14,
and restoration (x1) on photos that "crappify" degraded. The measurements are stored in
`benchmarks/quality.json`. Only new ones are made: those of weights that changed, and
scores that a set does not have yet. LPIPS reads its weights from the folder that
`SR_KERAS_DATA` names. `--time` measures all times again, which needs a quiet machine.

The script then writes the tables of `README.md` and `benchmarks/README.md` and the
model cards of `sr_keras/pretrained/README.md`, each between two marks, and draws the
pictures in `assets/`.
"""

import argparse
import hashlib
import json
import pathlib
import time

import numpy as np

import sr_keras as sr
from sr_keras import files
from sr_keras.training.vae import VAE, kl_divergence, sample_std

HERE = pathlib.Path(__file__).parent
KEPT = HERE / "quality.json"
README = HERE / "README.md"
CARDS = sr.weights.FOLDER / "README.md"
ASSETS = HERE.parent / "assets"
SETS = ("Set5", "Set14")
PHOTO, CROP = ("Set5", "butterfly"), (88, 56, 64, 96)  # of the picture
# endings of sets that are for looks
LOOKS = ("-srgan", "-esrgan", "-perceptual")
# endings of sets for damaged photos, which blur clean ones
DAMAGED = ("-real", "-distilled", "-gan")
# PSNR / SSIM on Set5 and Set14 by scale, of each paper's own size and training set
PUBLISHED = {
    "bicubic": {
        2: ("33.66 / .9299", "30.24 / .8688"),
        3: ("30.39 / .8682", "27.55 / .7742"),
        4: ("28.42 / .8104", "26.00 / .7027"),
    },
    "srcnn": {
        2: ("36.66 / .9542", "32.45 / .9067"),
        3: ("32.75 / .9090", "29.30 / .8215"),
        4: ("30.48 / .8628", "27.50 / .7513"),
    },
    "fsrcnn": {
        2: ("37.05 / .9560", "32.66 / .9090"),
        3: ("33.18 / .9140", "29.37 / .8240"),
        4: ("30.72 / .8660", "27.61 / .7550"),
    },
    "espcn": {4: ("30.90", "27.83")},
    "vdsr": {
        2: ("37.53 / .9587", "33.03 / .9124"),
        3: ("33.66 / .9213", "29.77 / .8314"),
        4: ("31.35 / .8838", "28.01 / .7674"),
    },
    "lapsrn": {
        2: ("37.52 / .9591", "33.08 / .9130"),
        4: ("31.54 / .8850", "28.19 / .7720"),
    },
    "edsr": {
        2: ("37.99 / .9604", "33.57 / .9175"),
        4: ("32.09 / .8938", "28.58 / .7813"),
    },
    "rdn": {4: ("32.47 / .8990", "28.81 / .7871")},
    "rcan": {4: ("32.63 / .9002", "28.87 / .7889")},
    "span": {},
}
# VGG layers that no recipe trains on
LAYERS = ("vgg:vgg19/block4_conv4", "vgg:VGG22")
EXTRA = ("ms_ssim", "niqe", "lr_psnr", *LAYERS, "lpips")
COLUMNS = {
    "psnr_y": ("PSNR", ".2f"),
    "ssim_y": ("SSIM", ".4f"),
    "ms_ssim": ("MS-SSIM", ".4f"),
    "niqe": ("NIQE", ".2f"),
    "lpips": ("LPIPS", ".3f"),
    LAYERS[0]: ("VGG 4_4", ".0f"),
    LAYERS[1]: ("VGG 2_2", ".0f"),
    "lr_psnr": ("LR-PSNR", ".2f"),
}


def is_full_size(name):
    """Whether a set is not reduced in size, and was trained on pixels."""
    return name.endswith(("-bsds", "-photos"))


def measure(network, dataset, known):
    """Adds the scores that are missing to those of a network on one set.

    Returns:
        The scores, and under "conditions" what they are.
    """
    missing = [name for name in EXTRA if name not in known]
    result = sr.evaluate(network, dataset, extra=missing)
    conditions = result["conditions"]
    if known:  # then only those of the new scores, which come last
        added = conditions.split("; ")[-len(missing) :]
        conditions = "; ".join([known["conditions"], *added])
    return {**result["mean"], **known, "conditions": conditions}


def milliseconds(network, scale, height=480, width=640):
    """Milliseconds for a million pixels of output, the fastest of three."""
    channels = network.input_shape[-1]
    lr = np.random.default_rng(0).random((height // scale, width // scale, channels))
    lr = lr.astype("float32")
    times = []
    for _ in range(4):  # the first one compiles
        start = time.perf_counter()
        sr.upscale(network, lr, tile=None)
        times.append(time.perf_counter() - start)
    return 1000 * min(times[1:]) / (height * width / 1e6)


def facts_of(name, path):
    """Returns what is known of shipped weights without running them."""
    stored, history = sr.weights.identity(path), sr.weights.history(path)
    entry = sr.models.CATALOGUE[stored["network"]]
    network = sr.models.load(name)
    recipe = history["recipe"]
    size = recipe["lr_patch_size"]
    return network, {
        "network": stored["network"],
        "config": stored["config"],
        "framework": entry.framework,
        "parameters": network.count_params(),
        "mult_adds": sr.models.mult_adds(network, stored["config"]["scale"]),
        "recipe": history["name"],
        "patches": f"{recipe['batch_size']} of {size}x{size}",
        "steps": recipe["steps"],
        "minutes": history["seconds"] / 60,
        "made_by": command_of(history),
        "device": history.get("device", "CPU"),
        "adversarial": recipe["kind"] == "gan",
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def command_of(history):
    """Returns the command that trained weights: of the package, or of an example."""
    command = history.get("made_by", "train --recipe")
    return command if history["name"] in command else f"{command} {history['name']}"


def variational(decoder, dataset):
    """Returns what the latent variables of a VAE say, and what its samples are worth.

    Nats for each LR pixel; PSNR (dB, RGB, 8 bits) of the image for the encoder's mean,
    for latents of 0, and of samples of temperature 1; the samples' standard deviation
    beside the root mean square error for latents of 0; and the samples' LR-PSNR.
    """
    path = sr.weights.find(decoder)
    stored = sr.weights.identity(path)["config"]
    encoder = sr.weights.ENCODERS / path.name.replace("vae-", "vae_encoder-")
    config = sr.weights.identity(encoder)["config"]
    vae = VAE(
        sr.models.vae_encoder(**config, weights=encoder),
        sr.models.vae_decoder(**stored, weights=path),
    )

    def psnr(image):
        x = sr.images.to_float(sr.images.to_integer(image))
        return -10 * np.log10(np.mean((x - hr) ** 2))

    rows = []
    for lr_file, hr_file in dataset:
        lr, hr = sr.images.to_float(lr_file), sr.images.to_float(hr_file)
        mean, log_variance = map(np.asarray, vae.encoder([lr[None], hr[None]]))
        known = np.asarray(vae.decoder([lr[None], mean]))[0]
        middle = vae.sample(lr[None], temperature=0.0)[0, 0]
        samples = vae.sample(lr[None], num_samples=8, seed=0)
        lr_psnr = [
            sr.quality.lr_psnr(lr_file, sr.images.to_integer(x)) for x in samples[:, 0]
        ]
        row = {
            "nats for an LR pixel": np.mean(kl_divergence(mean, log_variance)),
            "PSNR, the encoder's latents": psnr(known),
            "PSNR, latents of 0": psnr(middle),
            "PSNR, a sample": np.mean([psnr(x) for x in samples[:, 0]]),
            "standard deviation of samples": np.mean(sample_std(samples)),
            "error for latents of 0": np.sqrt(np.mean((middle - hr) ** 2)),
            "LR-PSNR, a sample": np.mean(lr_psnr),
        }
        rows.append(row)
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def open_set(folder, scale):
    return sr.datasets.open_data(
        str(folder), scale, "validation", "crappify" if scale == 1 else None
    )


def update(folder, all_times=False):
    """Measures what is new, keeps it, and returns all entries by name."""
    kept = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    entries = {}
    for name in sr.weights.all_names():
        path = sr.weights.find(name)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entries[name] = kept.get(name, {})
        if entries[name].get("sha256") != digest:
            network, facts = facts_of(name, path)
            entries[name] = {"name": name, "scale": facts["config"]["scale"], **facts}
    for scale in (1, 2, 3, 4):
        name = "input" if scale == 1 else f"bicubic-x{scale}"
        entries[name] = kept.get(name, {"name": name, "scale": scale})
    for name, entry in entries.items():
        scores = entry.setdefault("scores", {})
        for name_of_set in SETS:
            known = scores.get(name_of_set, {})
            if not {*EXTRA} <= {*known}:
                print(f"measuring {name} on {name_of_set}", flush=True)
                dataset = open_set(folder / name_of_set, entry["scale"])
                scores[name_of_set] = measure(open_network(name), dataset, known)
                files.write_json(KEPT, {**kept, **entries})
            if is_full_size(name) and name_of_set not in entry.setdefault("eight", {}):
                print(f"measuring {name} on {name_of_set}, self-ensemble", flush=True)
                dataset = open_set(folder / name_of_set, entry["scale"])
                mean = sr.evaluate(open_network(name), dataset, self_ensemble=True)[
                    "mean"
                ]
                entry["eight"][name_of_set] = {k: mean[k] for k in ("psnr_y", "ssim_y")}
                files.write_json(KEPT, {**kept, **entries})
        if entry.get("network") == "vae" and "variational" not in entry:
            dataset = open_set(folder / "Set5", entry["scale"])
            entry["variational"] = variational(name, dataset)
        if all_times or "ms_per_megapixel" not in entry:
            entry["ms_per_megapixel"] = milliseconds(open_network(name), entry["scale"])
    files.write_json(KEPT, entries)
    return dict(sorted(entries.items()))


def open_network(name):
    if name in sr.weights.all_names():
        return sr.models.load(name)
    return sr.models.bicubic(1 if name == "input" else int(name[-1]))


def table(entries, name_of_set):
    """Returns a Markdown table of entries of one scale."""
    head = ["weights", "framework", "parameters", "Mult-Adds", "minutes", "steps"]
    head += [*(title for title, _ in COLUMNS.values()), "ms/MP"]
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(head) - 2)]
    for entry in entries:
        cells = [entry["name"]]
        if "network" in entry:
            cells += [
                entry["framework"],
                f"{entry['parameters'] / 1e3:,.0f} K",
                f"{entry['mult_adds'] / 1e9:,.1f} G",
                f"{entry['minutes']:.0f}",
                f"{entry['steps']:,}",
            ]
        else:
            cells += ["interpolation", "0", "", "", ""]
        scores = entry["scores"][name_of_set]
        cells += [format(scores[key], style) for key, (_, style) in COLUMNS.items()]
        cells.append(f"{entry['ms_per_megapixel']:,.0f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def text(entries):
    parts = []
    for scale in sorted({entry["scale"] for entry in entries.values()}, reverse=True):
        rows = [entry for entry in entries.values() if entry["scale"] == scale]
        rows.sort(key=lambda entry: entry["scores"]["Set5"]["psnr_y"])
        for name_of_set in SETS:
            parts.append(f"### x{scale}, {name_of_set}\n\n{table(rows, name_of_set)}")
        conditions = rows[0]["scores"]["Set5"]["conditions"]
        parts.append(f"{conditions}. Mult-Adds for an output of 1280x720.")
        for entry in rows:
            if "variational" in entry:
                facts = (f"{key} {x:.3g}" for key, x in entry["variational"].items())
                parts.append(f"`{entry['name']}` on Set5 (RGB): {'; '.join(facts)}.")
    return "\n\n".join(parts)


def beside_published(entries):
    """Returns the table of the README: what was trained on clean photos, and its paper.

    Sets for looks, for damaged photos, and small ones of families that have one at the
    common budget are left out.
    """
    lines = [
        "| | parameters | Set5 | self-ensemble | published |"
        " Set14 | self-ensemble | published |",
        "|---|---:|---|---|---|---|---|---|",
    ]
    rows = [entry for entry in entries.values() if entry["scale"] > 1]
    rows.sort(key=lambda entry: (entry["scale"], entry["scores"]["Set5"]["psnr_y"]))
    for entry in rows:
        network = entry.get("network", "bicubic")
        name = entry["name"]
        if name.endswith(LOOKS + DAMAGED) or network not in PUBLISHED:
            continue
        if name.endswith("-small") and name.replace("-small", "-250k") in entries:
            continue
        published = PUBLISHED[network].get(entry["scale"], ("", ""))
        cells = [f"`{name}`", f"{entry.get('parameters', 0) / 1e3:,.0f} K"]
        for name_of_set, figure in zip(SETS, published, strict=True):
            for scores in (entry["scores"], entry.get("eight", {})):
                cells.append(psnr_and_ssim(scores.get(name_of_set)))
            cells.append(figure)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def psnr_and_ssim(scores):
    if scores is None:
        return ""
    return f"{scores['psnr_y']:.2f} / {scores['ssim_y']:.4f}"


def cards(entries):
    """Returns the model cards: a line for each file."""
    lines = [
        "| file | made by | LR patches | steps | minutes | on |"
        " PSNR / SSIM, Set5 | Set14 | bytes | SHA-256 |",
        "|---|---|---|---:|---:|---|---|---|---:|---|",
    ]
    for name, entry in entries.items():
        if "network" in entry:
            scores = " | ".join(psnr_and_ssim(x) for x in entry["scores"].values())
            lines.append(
                f"| `{name}.weights.h5` | `{entry['made_by']}` |"
                f" {entry['patches']} | {entry['steps']:,} | {entry['minutes']:.0f} |"
                f" {entry['device']} | {scores} | {entry['bytes']:,} |"
                f" `{entry['sha256']}` |"
            )
    for path in sorted(sr.weights.ENCODERS.glob("*.weights.h5")):
        decoder = entries[path.name.split(".")[0].replace("_encoder", "")]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append(
            f"| `{path.name}` (in `encoders/`) | with `{decoder['name']}` | | | | | | |"
            f" {path.stat().st_size:,} | `{digest}` |"
        )
    return "\n".join(lines)


def draw(entries, folder):
    def scores(entry):
        return entry["scores"]["Set5"]

    rows = [
        {**entry, **scores(entry), "model": entry["name"].replace("-x4-bsds", "")}
        for entry in entries.values()
        if entry["scale"] == 4 and "network" in entry
    ]
    bicubic = {**entries["bicubic-x4"], **scores(entries["bicubic-x4"])}
    trained_on_pixels = [row for row in rows if not row["adversarial"]]
    conditions = "x4, Set5, on luma (BT.601, 16-235), 4 border pixels cut"
    figures = {
        "quality_against_cost.png": sr.plotting.quality_against_cost(
            trained_on_pixels,
            x="mult_adds",
            group="framework",
            baselines={"bicubic": bicubic["psnr_y"]},
            title=f"{conditions}; Mult-Adds for 1280x720",
        ),
        "distortion_against_perception.png": sr.plotting.quality_against_perception(
            [*rows, {**bicubic, "model": "bicubic", "framework": "interpolation"}],
            group="framework",
            title=conditions,
        ),
    }
    figures["shipped_networks.png"] = side_by_side(entries, folder)
    for name, figure in figures.items():
        figure.savefig(ASSETS / name, dpi=110)


def side_by_side(entries, folder):
    """Draws one photo by every network for x4, from low to high PSNR."""
    dataset = open_set(folder / PHOTO[0], 4)
    photo = dataset.subset([dataset.names.index(PHOTO[1])])
    lr, hr = photo[0]
    images = {"LR": lr}
    for entry in sorted(
        (entry for entry in entries.values() if entry["scale"] == 4),
        key=lambda entry: entry["scores"]["Set5"]["psnr_y"],
    ):
        title = entry["name"].replace("-x4", "").replace("-bsds", "")
        images[title] = sr.upscale(open_network(entry["name"]), lr)
    captions = {
        title: f"{sr.evaluation.score(hr, image, 4)['psnr_y']:.2f} dB"
        for title, image in images.items()
        if title != "LR"
    }
    return sr.plotting.comparison(
        {**images, "HR": hr},
        scores=captions,
        crop=CROP,
        columns=3,
        whole=False,
        title=f"{PHOTO[1]} ({PHOTO[0]}), x4: PSNR on luma, 4 border pixels cut",
    )


def between_marks(path, content):
    start, end = "<!-- quality: begin -->", "<!-- quality: end -->"
    before, _, rest = path.read_text().partition(start)
    _, _, after = rest.partition(end)
    files.write_text(path, f"{before}{start}\n{content}\n{end}{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--time", action="store_true")
    arguments = parser.parse_args()
    entries = update(arguments.data, arguments.time)
    between_marks(HERE.parent / "README.md", beside_published(entries))
    between_marks(README, text(entries))
    between_marks(CARDS, cards(entries))
    draw(entries, arguments.data)


if __name__ == "__main__":
    main()
