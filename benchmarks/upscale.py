"""Speed of upscaling: every network on every runtime, beside PyTorch.

    python benchmarks/upscale.py [NETWORK ...] [--size 240x160] [--repeats 5]
                                 [--torch-python PATH]

Networks with random weights enlarge noise. Each runtime has a process of its own, and
all of them take turns, so that a busy machine slows all alike; the tables show medians.
"of product" is the rate at which the multiplications of the network are done, divided
by the rate of a matrix product of TensorFlow in float32 in the same run. Keras runs
with and without oneDNN, the library that TensorFlow computes convolutions with on
processors that have AVX512-VNNI (`TF_ENABLE_ONEDNN_OPTS`). int8 is calibrated on the
image, and "dB" compares its output with that of Keras.

PyTorch (in its channels_last layout) takes part if it is installed, here or for the
interpreter that is named, with spandrel and safetensors for all networks but EDSR and
RLFN, which are written out here.
"""

import argparse
import importlib.util
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
# network: scale, options, the class of spandrel that has the original
NETWORKS = {
    "edsr": (4, {}, None),
    "span": (4, {"filters": 48, "folded": True}, "SPAN"),
    "srvgg": (4, {}, "Compact"),
    "rlfn": (4, {}, None),
    "swinir": (
        4,
        {"filters": 60, "depths": (6, 6, 6, 6), "variant": "lightweight"},
        "SwinIR",
    ),
    "rrdb": (4, {"num_blocks": 6}, "ESRGAN"),
    "fsrcnn": (4, {}, None),
    "unet": (1, {"filters": 16}, None),
}
PRODUCTS = 8
ENGINES = {
    "onnxruntime": ("float32", "int8"),
    "openvino": ("float32", "int8"),
    "litert": ("float32",),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--size", default="240x160", help="width x height of the LR")
    parser.add_argument("--torch-python", help="interpreter that has PyTorch")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(**json.loads(arguments.worker))
        return
    from machine import describe  # not for the interpreter that has PyTorch

    torch_python = arguments.torch_python
    if torch_python is None and importlib.util.find_spec("torch"):
        torch_python = sys.executable
    print(f"{describe()}; LR {arguments.size}, {arguments.repeats} repeats")
    results = {
        name: compare(name, arguments.size, arguments.repeats, torch_python)
        for name in arguments.networks
    }
    print(summary(results))


def compare(name, size, repeats, torch_python):
    """Prints the table of a network.

    Returns:
        A dict from (runtime, precision) to the milliseconds, the ratio to the matrix
        product and the ratio to PyTorch (None without it).
    """
    from sr_keras import processor

    cases = [("product", "float32")]
    cases += [("keras", "float32"), ("keras without oneDNN", "float32")]
    if processor.has_bfloat16():
        cases.append(("keras", "mixed_bfloat16"))
    for engine, precisions in ENGINES.items():
        cases += [(engine, precision) for precision in precisions]
    if torch_python and (name in ("edsr", "rlfn") or NETWORKS[name][2]):
        cases.append(("torch", "float32"))
    with tempfile.TemporaryDirectory() as folder:
        workers = {}
        for case in cases:
            runtime, precision = case
            options = {"name": name, "runtime": runtime, "precision": precision}
            options |= {"size": size, "folder": folder}
            python = torch_python if runtime == "torch" else sys.executable
            environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3")
            environment["PYTHONPATH"] = str(ROOT)
            environment["TF_ENABLE_ONEDNN_OPTS"] = str(int("without" not in runtime))
            worker = subprocess.Popen(
                [python, __file__, "--worker", json.dumps(options)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            first = ask(worker)  # builds and compiles before the next one starts
            if "seconds" in first:
                workers[case] = (worker, first)
            else:
                print(f"{name} on {runtime} in {precision}: {first['error']}")
                worker.communicate()
        seconds = {case: [] for case in workers}
        for _ in range(repeats):
            for case, (worker, _) in workers.items():
                seconds[case].append(ask(worker)["seconds"])
        for worker, _ in workers.values():
            worker.communicate()
        outputs = {
            path.stem: np.load(path) for path in pathlib.Path(folder).glob("*.npy")
        }
    medians = {case: statistics.median(times) for case, times in seconds.items()}
    reference = outputs[file_name("keras", "float32")]
    product = workers["product", "float32"][1]["gflop"] / medians["product", "float32"]
    print(f"\nmatrix product: {product:.0f} GFLOP/s\n")
    print("| network | runtime | precision | ms | of product | times PyTorch | dB |")
    print("|---|---|---|---:|---:|---:|---:|")
    gflop = workers["keras", "float32"][1]["gflop"]
    peer = medians.get(("torch", "float32"))
    result = {}
    for (runtime, precision), median in medians.items():
        if runtime == "product":
            continue
        rate = gflop / median / product
        ratio = None if peer is None else peer / median
        result[runtime, precision] = (1000 * median, rate, ratio)
        error = np.mean((outputs[file_name(runtime, precision)] - reference) ** 2)
        folded = "folded" in NETWORKS[name][1]
        is_other = runtime == "torch" and (folded or not NETWORKS[name][2])  # weights
        quality = "" if error < 1e-9 or is_other else f"{-10 * np.log10(error):.1f}"
        times = "" if ratio is None else f"{ratio:.2f}"
        print(
            f"| {name} | {runtime} | {precision} | {1000 * median:.0f} |"
            f" {rate:.2f} | {times} | {quality} |",
            flush=True,
        )
    print()
    return result


def summary(results):
    """Returns a table of all networks: milliseconds, and in brackets times PyTorch.

    The last row is the rate of Keras in float32, divided by that of a matrix product.
    """
    lines = [
        f"| runtime | precision | {' | '.join(results)} |",
        f"|---|---|{'---:|' * len(results)}",
    ]
    for case in dict.fromkeys(itertools.chain(*results.values())):
        cells = []
        for result in results.values():
            milliseconds, _, ratio = result.get(case, (None, None, None))
            text = "" if milliseconds is None else f"{milliseconds:,.0f}"
            cells.append(text if ratio is None else f"{text} ({ratio:.2f})")
        lines.append(f"| {' | '.join((*case, *cells))} |")
    rates = [f"{result['keras', 'float32'][1]:.2f}" for result in results.values()]
    lines.append(f"| of the matrix product | float32 | {' | '.join(rates)} |")
    return "\n".join(lines)


def file_name(runtime, precision):
    return f"{runtime.replace(' ', '-')}-{precision}"


def ask(worker):
    worker.stdin.write("run\n")
    worker.stdin.flush()
    line = worker.stdout.readline()
    return json.loads(line) if line else {"error": "the process died"}


def work(name, runtime, precision, size, folder):
    """Computes whenever a line comes in; replies in JSON."""
    width, height = map(int, size.split("x"))
    lr = np.random.default_rng(0).random((1, height, width, 3), "float32")
    folder = pathlib.Path(folder)
    output = sys.stdout
    sys.stdout = sys.stderr  # what libraries print
    run = None
    for _ in sys.stdin:
        reply = {}
        try:
            if run is None:
                run, gflop = build(name, runtime, precision, lr, folder)
                sr = run()
                if sr is not None:
                    np.save(folder / f"{file_name(runtime, precision)}.npy", sr)
                reply["gflop"] = gflop
            start = time.perf_counter()
            run()
            reply["seconds"] = time.perf_counter() - start
        except Exception as error:  # whatever a runtime raises
            first = str(error).partition("\n")[0]
            reply = {"error": f"{type(error).__name__}: {first}"}
        output.write(json.dumps(reply) + "\n")
        output.flush()


def build(name, runtime, precision, lr, folder):
    """Returns a function that computes, and how many GFLOP that takes."""
    if runtime == "torch":
        return build_torch(name, lr, folder), None
    if runtime == "product":
        import tensorflow as tf

        a = tf.random.normal((2048, 2048))
        product = tf.function(lambda: tf.matmul(a, a))
        # several, because the first one after a pause is slower

        def run():
            for _ in range(PRODUCTS):
                product().numpy()

        return run, PRODUCTS * 2 * 2048**3 / 1e9
    import keras

    import sr_keras as sr

    keras.utils.set_random_seed(0)
    scale, options, original = NETWORKS[name]
    model = sr.models.NETWORKS[name](scale, **options)
    lr = lr[..., : model.input_shape[-1]]
    shape = (scale * lr.shape[1], scale * lr.shape[2])
    gflop = 2 * sr.models.mult_adds(model, scale, *shape) / 1e9
    if original and runtime == "keras":
        # PyTorch's SPAN folds its convolutions itself
        wide = {k: v for k, v in options.items() if k != "folded"}
        original = model if wide == options else sr.models.NETWORKS[name](scale, **wide)
        sr.published.save(original, folder / "model.safetensors")
    if precision == "mixed_bfloat16":
        model = sr.precision.with_precision(model, precision)
    if runtime.startswith("keras"):
        return lambda: np.asarray(model.predict_on_batch(lr)), gflop
    calibration = None if precision == "float32" else [lr[0]]
    engine = sr.engines.Engine(model, runtime, calibration, folder / "engines")
    return lambda: engine(lr), gflop


def build_torch(name, lr, folder):
    import torch
    from torch import nn

    def conv(inputs, outputs, size=3):
        return nn.Conv2d(inputs, outputs, size, padding=size // 2)

    class Residual(nn.Module):
        def __init__(self, *layers):
            super().__init__()
            self.layers = nn.Sequential(*layers)

        def forward(self, x):
            return x + self.layers(x)

    class LocalBlock(nn.Module):
        """A block of RLFN, with its spatial attention."""

        def __init__(self, filters=52, reduced=16):
            super().__init__()
            layers = [(conv(filters, filters), nn.LeakyReLU(0.05)) for _ in range(3)]
            self.body = Residual(*itertools.chain(*layers))
            self.fusion = conv(filters, filters, 1)
            self.squeeze = conv(filters, reduced, 1)
            self.coarse = nn.Sequential(
                nn.Conv2d(reduced, reduced, 3, stride=2),
                nn.MaxPool2d(7, stride=3),
                conv(reduced, reduced),
            )
            self.fine = conv(reduced, reduced, 1)
            self.excite = conv(reduced, filters, 1)

        def forward(self, x):
            x = self.fusion(self.body(x))
            small = self.squeeze(x)
            coarse = nn.functional.interpolate(
                self.coarse(small), small.shape[2:], mode="bilinear"
            )
            return x * torch.sigmoid(self.excite(coarse + self.fine(small)))

    if name == "edsr":
        blocks = [Residual(conv(64, 64), nn.ReLU(), conv(64, 64)) for _ in range(16)]
        body = Residual(*blocks, conv(64, 64))
        enlarge = (conv(64, 256), nn.PixelShuffle(2))
        model = nn.Sequential(conv(3, 64), body, *enlarge, *enlarge, conv(64, 3))
    elif name == "rlfn":
        body = Residual(*(LocalBlock() for _ in range(6)), conv(52, 52))
        model = nn.Sequential(conv(3, 52), body, conv(52, 48), nn.PixelShuffle(4))
    else:
        from safetensors.torch import load_file
        from spandrel import architectures

        importlib.import_module(f"spandrel.architectures.{NETWORKS[name][2]}")
        module = getattr(architectures, NETWORKS[name][2])
        tensors = load_file(folder / "model.safetensors")
        model = getattr(module, f"{NETWORKS[name][2]}Arch")().load(tensors).model
    model = model.eval().to(memory_format=torch.channels_last)
    batch = torch.from_numpy(lr).permute(0, 3, 1, 2)  # channels_last

    @torch.inference_mode()
    def run():
        return model(batch).permute(0, 2, 3, 1).numpy()

    return run


if __name__ == "__main__":
    main()
