"""Which precision a machine computes fastest in."""

import pathlib

import tensorflow as tf

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def choose_precision(name="auto"):
    """Returns the Keras dtype policy for training on this machine.

    Args:
        name: A policy, which is returned, or "auto": bfloat16 on a GPU of compute
            capability 8 and up and on a CPU that has the units (AVX512-BF16 or
            AMX), float16 on a GPU of capability 7, else float32.

    Raises:
        ValueError: If there is no such policy.
    """
    if name in POLICIES:
        return name
    if name != "auto":
        raise ValueError(
            f"`precision` must be auto, {', '.join(POLICIES)}. Received: {name}"
        )
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        major = details.get("compute_capability", (0, 0))[0]
        if major >= 8:
            return "mixed_bfloat16"
        return "mixed_float16" if major == 7 else "float32"
    return "mixed_bfloat16" if _cpu_has_bfloat16() else "float32"


def _cpu_has_bfloat16():
    info = pathlib.Path("/proc/cpuinfo")
    if not info.is_file():
        return False
    flags = info.read_text().split()
    return "avx512_bf16" in flags or "amx_bf16" in flags
