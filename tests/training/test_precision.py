import pytest
import tensorflow as tf

from sr_keras.training import choose_precision, precision


def pretend(monkeypatch, capability=None, cpu_has_bfloat16=False):
    gpus = [] if capability is None else ["gpu"]
    details = {"compute_capability": capability}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: details)
    monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda: cpu_has_bfloat16)


@pytest.mark.parametrize(
    ("capability", "cpu_has_bfloat16", "expected"),
    [
        ((9, 0), False, "mixed_bfloat16"),
        ((8, 0), False, "mixed_bfloat16"),
        ((7, 5), False, "mixed_float16"),
        ((6, 1), True, "float32"),
        (None, True, "mixed_bfloat16"),
        (None, False, "float32"),
    ],
)
def test_auto(monkeypatch, capability, cpu_has_bfloat16, expected):
    pretend(monkeypatch, capability, cpu_has_bfloat16)
    assert choose_precision("auto") == expected
    assert choose_precision("mixed_float16") == "mixed_float16"


def test_another_name():
    with pytest.raises(ValueError, match="auto, float32, .* Received: half"):
        choose_precision("half")
