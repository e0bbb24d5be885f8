"""What this machine's processor can do, and what TensorFlow makes of it."""

import os
import pathlib
import sys

# What decides how fast convolutions are, as Linux names it.
_FEATURES = (
    "avx2",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "asimd",
)
_VARIABLE = "TF_ENABLE_ONEDNN_OPTS"


def features(info="/proc/cpuinfo"):
    """Returns the names of the processor's features that matter; empty if unknown.

    Args:
        info: File of Linux that lists them.
    """
    path = pathlib.Path(info)
    flags = set(path.read_text().split()) if path.is_file() else set()
    return [name for name in _FEATURES if name in flags]


def has_bfloat16():
    """Returns True if the processor has units for bfloat16."""
    return bool({"avx512_bf16", "amx_bf16"} & {*features()})


def saturates_int8():
    """Returns True if sums of products of 8-bit integers can overflow.

    x86 processors without VNNI add pairs of such products in 16 bits. ONNX Runtime then
    computes wrong sums, unless the weights have 7 bits.
    """
    found = features()
    return "avx2" in found and not any("vnni" in name for name in found)


def prefer_onednn():
    """Turns oneDNN on for commands that train, where TensorFlow leaves it off.

    TensorFlow computes with oneDNN by default only if the processor has VNNI, bfloat16
    or AMX units. On those that have AVX2 but none of these, training is faster with it
    and upscaling is slower (`benchmarks/README.md` has the figures). TensorFlow looks
    at the variable `TF_ENABLE_ONEDNN_OPTS` once, when it is imported. It is set only if
    this process runs the package's own command line.
    """
    if _command() not in ("train", "demo"):
        return
    found = features()
    if "avx2" in found and not {*found} - {"avx2", "avx512f"}:
        os.environ.setdefault(_VARIABLE, "1")


def _command():
    """Returns the command of this package that the process runs, or None.

    While `python -m MODULE` imports the package of its module, `sys.argv` begins with
    "-m". Only `sys.orig_argv` has the name of the module then.
    """
    program, *rest = sys.argv
    if program == "-m":
        module = sys.orig_argv[-len(sys.argv)]
        is_ours = module in ("sr_keras", "-msr_keras")
    else:
        is_ours = pathlib.Path(program).stem == "sr-keras"
    return next((x for x in rest if not x.startswith("-")), None) if is_ours else None


def describe():
    """Returns the features, and a setting of `TF_ENABLE_ONEDNN_OPTS`, as a text."""
    text = f"{os.cpu_count()} cores with {', '.join(features()) or 'unknown features'}"
    if "tensorflow" in sys.modules and _VARIABLE in os.environ:
        text += f", {_VARIABLE}={os.environ[_VARIABLE]}"
    return text
