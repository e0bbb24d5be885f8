import os

import pytest

from sr_keras import processor

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")  # so that it is restored afterwards
    monkeypatch.delenv(VARIABLE)


def test_features_are_read_from_the_flags(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nflags : fpu avx avx2 avx512f avx512_bf16 sse\n")
    assert processor.features(info) == ["avx2", "avx512f", "avx512_bf16"]
    assert processor.features(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (["avx512_bf16"], True),
        (["amx_bf16"], True),
        (["avx2", "avx512_vnni"], False),
        ([], False),
    ],
)
def test_bfloat16_needs_units(features, expected, monkeypatch):
    monkeypatch.setattr(processor, "features", lambda: features)
    assert processor.has_bfloat16() is expected


@pytest.mark.parametrize(
    ("arguments", "features", "expected"),
    [
        (["-m", "train", "edsr"], ["avx2"], "1"),
        (["-m", "-q", "train", "edsr"], ["avx2", "avx512f"], "1"),
        (["/bin/sr-keras", "demo"], ["avx2"], "1"),
        (["-m", "train"], ["avx2", "avx512_vnni"], None),  # where it is the default
        (["-m", "train"], ["asimd"], None),
        (["-m", "upscale", "train"], ["avx2"], None),
        (["program.py", "train"], ["avx2"], None),
        ([], ["avx2"], None),
    ],
)
def test_onednn_is_turned_on_for_training(arguments, features, expected, monkeypatch):
    monkeypatch.setattr(processor, "features", lambda: features)
    processor.prefer_onednn(arguments)
    assert os.environ.get(VARIABLE) == expected


def test_a_setting_of_the_user_stays(monkeypatch):
    monkeypatch.setenv(VARIABLE, "0")
    monkeypatch.setattr(processor, "features", lambda: ["avx2"])
    processor.prefer_onednn(["-m", "train"])
    assert os.environ[VARIABLE] == "0"
    assert processor.describe().endswith(f"with avx2, {VARIABLE}=0")
