"""How good the shipped networks are, what they cost, and how they were trained.

    python benchmarks/quality.py --data FOLDER_OF_BENCHMARK_SETS [--set Set5] [--time]

Every set of shipped weights is scored by the papers' protocol, restoration (x1) on
photos that "crappify" spoils. What was measured is kept in `benchmarks/quality.json`,
and only weights that are new or changed are measured again; `--time` takes all times
again, on a machine that should be quiet. From that come, between marks, the tables of
`benchmarks/README.md` and the model cards of `sr_keras/pretrained/README.md`, and the
plots in `assets/`.
"""

import argparse
import hashlib
import json
import os
import pathlib
import time

import numpy as np

import sr_keras as sr

HERE = pathlib.Path(__file__).parent
KEPT = HERE / "quality.json"
README = HERE / "README.md"
CARDS = sr.pretrained.FOLDER / "README.md"
ASSETS = HERE.parent / "assets"
# VGG layers that no recipe trains on
LAYERS = ("vgg:vgg19/block4_conv4", "vgg:VGG22")
EXTRA = ("ms_ssim", "niqe", "lr_psnr", *LAYERS)
COLUMNS = {
    "psnr_y": ("PSNR", ".2f"),
    "ssim_y": ("SSIM", ".4f"),
    "ms_ssim": ("MS-SSIM", ".4f"),
    "niqe": ("NIQE", ".2f"),
    LAYERS[0]: ("VGG 4_4", ".0f"),
    LAYERS[1]: ("VGG 2_2", ".0f"),
    "lr_psnr": ("LR-PSNR", ".2f"),
}


def measure(name, network, dataset):
    """Returns the scores and the cost of a network."""
    result = sr.evaluate(network, dataset, extra=EXTRA)
    entry = {"name": name, "scale": dataset.scale, **result["mean"]}
    entry["conditions"] = result["conditions"]
    entry["ms_per_megapixel"] = milliseconds(network, dataset.scale)
    return entry


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


def describe(name, path):
    """Returns what is known of shipped weights without running them."""
    stored, training = sr.pretrained.describe(path), sr.pretrained.training_of(path)
    entry = sr.models.CATALOGUE[stored["network"]]
    network = sr.models.load(name)
    recipe = training["recipe"]
    (name_of_recipe,) = (
        key
        for key, value in sr.training.RECIPES.items()
        if sr.training.recipes.as_json(value) == recipe
    )
    return network, {
        "network": stored["network"],
        "config": stored["config"],
        "framework": entry.framework,
        "parameters": network.count_params(),
        "mult_adds": sr.models.mult_adds(network, stored["config"]["scale"]),
        "recipe": name_of_recipe,
        "patches": f"{recipe['batch_size']} of {recipe['lr_size']}x{recipe['lr_size']}",
        "steps": recipe["steps"],
        "minutes": training["seconds"] / 60,
        "adversarial": "discriminator" in recipe,
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def open_set(folder, scale):
    return sr.datasets.open_data(
        str(folder), scale, "validation", "crappify" if scale == 1 else None
    )


def update(folder, all_times=False):
    """Measures what is new, keeps it, and returns all entries by name."""
    kept = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    entries = {}
    for name in sr.pretrained.all_names():
        path = sr.pretrained.find(name)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entries[name] = kept.get(name, {})
        if entries[name].get("sha256") != digest:
            print(f"measuring {name}", flush=True)
            network, facts = describe(name, path)
            dataset = open_set(folder, facts["config"]["scale"])
            entries[name] = {**facts, **measure(name, network, dataset)}
            write(KEPT, json.dumps({**kept, **entries}, indent=1))
    for scale in {entry["scale"] for entry in entries.values()}:
        name = f"bicubic-x{scale}" if scale > 1 else "input"
        entries[name] = kept.get(name) or measure(
            name, sr.models.bicubic(scale), open_set(folder, scale)
        )
    if all_times:
        for name, entry in entries.items():
            is_network = "network" in entry
            network = (sr.models.load if is_network else _interpolation)(name)
            entry["ms_per_megapixel"] = milliseconds(network, entry["scale"])
    write(KEPT, json.dumps(entries, indent=1))
    return dict(sorted(entries.items()))


def _interpolation(name):
    return sr.models.bicubic(1 if name == "input" else int(name[-1]))


def table(entries):
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
        cells += [format(entry[key], style) for key, (_, style) in COLUMNS.items()]
        cells.append(f"{entry['ms_per_megapixel']:,.0f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def text(entries, name_of_set):
    parts = []
    for scale in sorted({entry["scale"] for entry in entries.values()}, reverse=True):
        rows = [entry for entry in entries.values() if entry["scale"] == scale]
        rows.sort(key=lambda entry: entry["psnr_y"])
        parts.append(
            f"### x{scale}, {name_of_set}\n\n{table(rows)}\n\n"
            f"{rows[0]['conditions']}. Mult-Adds for an output of 1280x720."
        )
    return "\n\n".join(parts)


def cards(entries, name_of_set):
    """Returns the model cards: a line for each file."""
    lines = [
        "| file | made by | LR patches | steps | minutes |"
        f" PSNR / SSIM, {name_of_set} | bytes | SHA-256 |",
        "|---|---|---|---:|---:|---|---:|---|",
    ]
    for name, entry in entries.items():
        if "network" in entry:
            lines.append(
                f"| `{name}.weights.h5` | `train --recipe {entry['recipe']}` |"
                f" {entry['patches']} | {entry['steps']:,} | {entry['minutes']:.0f} |"
                f" {entry['psnr_y']:.2f} / {entry['ssim_y']:.4f} | {entry['bytes']:,} |"
                f" `{entry['sha256']}` |"
            )
    return "\n".join(lines)


def draw(entries):
    rows = [
        {**entry, "model": entry["name"].replace("-x4-bsds", "")}
        for entry in entries.values()
        if entry["scale"] == 4 and "network" in entry
    ]
    bicubic = entries["bicubic-x4"]
    trained_on_pixels = [row for row in rows if not row["adversarial"]]
    figures = {
        "quality_against_cost.png": sr.plotting.quality_against_cost(
            trained_on_pixels,
            x="mult_adds",
            group="framework",
            baselines={"bicubic": bicubic["psnr_y"]},
        ),
        "distortion_against_perception.png": sr.plotting.quality_against_perception(
            [*rows, {**bicubic, "model": "bicubic", "framework": "interpolation"}],
            group="framework",
        ),
    }
    for name, figure in figures.items():
        figure.savefig(ASSETS / name, dpi=110)


def between_marks(path, content):
    start, end = "<!-- quality: begin -->", "<!-- quality: end -->"
    before, _, rest = path.read_text().partition(start)
    _, _, after = rest.partition(end)
    write(path, f"{before}{start}\n{content}\n{end}{after}")


def write(path, content):
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(content)
    os.replace(temporary, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--set", default="Set5")
    parser.add_argument("--time", action="store_true")
    arguments = parser.parse_args()
    entries = update(arguments.data / arguments.set, arguments.time)
    between_marks(README, text(entries, arguments.set))
    between_marks(CARDS, cards(entries, arguments.set))
    draw(entries)


if __name__ == "__main__":
    main()
