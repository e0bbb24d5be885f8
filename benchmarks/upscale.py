"""Speed and memory of `sr_keras.upscale`, against the same network in PyTorch.

    python benchmarks/upscale.py [--torch-python PATH] [--repeats N] [--photo]

EDSR-baseline with random weights enlarges noise, from uint8 to uint8. Each case
has a process of its own and takes turns with the others, so that a busy machine
slows all alike; the table shows medians. Memory is what a process needed at its
peak beyond what it had when the network was built (Linux only).

PyTorch (in its channels_last layout) takes part if it is installed, here or for
the interpreter that is named, which needs torch and numpy.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
SIZES = [(480, 320), (960, 640)]  # width, height
PHOTO = (4000, 3000)
TILE = 256


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch-python", help="interpreter that has torch and numpy")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--photo", action="store_true", help="4000x3000 at x2 and x4, once, instead"
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(**json.loads(arguments.worker))
        return

    torch_python = arguments.torch_python
    if torch_python is None and importlib.util.find_spec("torch"):
        torch_python = sys.executable
    frameworks = ["sr_keras"] + ["torch"] * bool(torch_python)
    pythons = {"sr_keras": sys.executable, "torch": torch_python}

    versions = ", ".join(version(pythons[name], name) for name in frameworks)
    load = os.getloadavg()[0]
    print(f"{versions}; {os.cpu_count()} cores, load {load:.1f} at the start")
    print(
        "    input scale case                          s   MP/s   GiB"
        "  PyTorch  whole  output"
    )
    precisions = ("float32", "bfloat16")
    if arguments.photo:
        for scale in (2, 4):
            for precision in precisions:
                compare([("sr_keras", precision, TILE)], PHOTO, scale, 0, pythons)
    else:
        cases = [("sr_keras", p, tile) for p in precisions for tile in (None, TILE)]
        cases += [("torch", p, None) for p in precisions if torch_python]
        for size in SIZES:
            compare(cases, size, 4, arguments.repeats, pythons)
    print(
        "MP/s: of the output. PyTorch: its time in the same precision, divided by"
        " this one.\nwhole: this time, divided by that of the whole image."
        " output: whether it equals that of the whole image."
    )


def version(python, framework):
    names = ["torch"] if framework == "torch" else ["tensorflow", "keras"]
    script = "from importlib.metadata import version as v; print(*(f'{n} {v(n)}'"
    script += f" for n in {names}), sep=', ')"
    return subprocess.check_output([python, "-c", script], text=True).strip()


def compare(cases, size, scale, repeats, pythons):
    """Runs the cases in turn, `repeats` times after a first, and prints a row each.

    With `repeats=0` the first time counts, which includes the compiling.
    """
    width, height = size
    workers = []
    for framework, precision, tile in cases:
        options = {"framework": framework, "precision": precision, "tile": tile}
        options |= {"width": width, "height": height, "scale": scale}
        command = [pythons[framework], __file__, "--worker", json.dumps(options)]
        workers.append(
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        )
    rounds = [[ask(worker) for worker in workers] for _ in range(1 + repeats)]
    for worker in workers:
        worker.communicate()

    counted = rounds[1:] or rounds
    seconds = {
        case: statistics.median(replies[i]["seconds"] for replies in counted)
        for i, case in enumerate(cases)
    }
    digests = {case: rounds[-1][i]["digest"] for i, case in enumerate(cases)}
    for i, (framework, precision, tile) in enumerate(cases):
        case = (framework, precision, tile)
        speed = width * height * scale**2 / 1e6 / seconds[case]
        memory = rounds[-1][i]["bytes"] / 2**30
        torch = whole = output = "-"
        if framework == "sr_keras" and ("torch", precision, None) in seconds:
            torch = f"{seconds['torch', precision, None] / seconds[case]:.2f}"
        if tile and (framework, precision, None) in seconds:
            whole = f"{seconds[case] / seconds[framework, precision, None]:.2f}"
            same = digests[case] == digests[framework, precision, None]
            output = "equal" if same else "DIFFERENT"
        name = f"{framework} {precision} {f'tile {tile}' if tile else 'whole'}"
        print(
            f"{width:>4}x{height:<4} {scale:>5} {name:<26} {seconds[case]:>6.2f}"
            f" {speed:>6.2f} {memory:>5.2f} {torch:>8} {whole:>6}  {output}",
            flush=True,
        )


def ask(worker):
    worker.stdin.write("run\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def work(framework, precision, tile, width, height, scale):
    """Enlarges the image whenever a line comes in; replies in JSON."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    build = {"sr_keras": build_keras, "torch": build_torch}[framework]
    run = build(precision, scale, tile)
    before = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    before *= resource.getpagesize()
    for _ in sys.stdin:
        start = time.perf_counter()
        output = run(image)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        digest = hashlib.sha256(output).hexdigest()
        reply = {"seconds": seconds, "bytes": peak - before, "digest": digest}
        print(json.dumps(reply), flush=True)


def build_keras(precision, scale, tile):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.path.insert(0, str(ROOT))
    import keras

    from sr_keras import inference, models

    keras.utils.set_random_seed(0)
    model = models.edsr(scale)
    if precision == "bfloat16":
        model = inference.with_precision(model, "mixed_bfloat16")
    return lambda image: inference.upscale(model, image, tile=tile)


def build_torch(precision, scale, tile):
    import torch
    from torch import nn

    def conv(inputs, outputs):
        return nn.Conv2d(inputs, outputs, 3, padding=1)

    class Residual(nn.Module):
        def __init__(self, *layers):
            super().__init__()
            self.layers = nn.Sequential(*layers)

        def forward(self, x):
            return x + self.layers(x)

    blocks = [Residual(conv(64, 64), nn.ReLU(), conv(64, 64)) for _ in range(16)]
    upsampling = [
        layer
        for _ in range(scale // 2)
        for layer in (conv(64, 256), nn.PixelShuffle(2))
    ]
    body = Residual(*blocks, conv(64, 64))
    model = nn.Sequential(conv(3, 64), body, *upsampling, conv(64, 3)).eval()
    dtype = getattr(torch, precision)
    model = model.to(dtype=dtype, memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(image):
        lr = torch.from_numpy(image)[None].permute(0, 3, 1, 2)  # channels_last
        sr = model((lr / 255).to(dtype)).float()
        return (sr.clamp(0, 1) * 255).round().byte()[0].permute(1, 2, 0).numpy()

    return run


if __name__ == "__main__":
    main()
