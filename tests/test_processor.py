import os
import subprocess
import sys

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


# A package that sets the variable as `sr_keras` does, but imports nothing else.
PACKAGE = f"""
import importlib.util
import os

spec = importlib.util.spec_from_file_location("processor", {processor.__file__!r})
processor = importlib.util.module_from_spec(spec)
spec.loader.exec_module(processor)
processor.features = lambda: os.environ["FEATURES"].split()
processor.prefer_onednn()
print(os.environ.get({VARIABLE!r}))
"""


@pytest.mark.parametrize(
    ("command", "features", "expected"),
    [
        ("-m sr_keras train edsr", "avx2", "1"),
        ("-u -m sr_keras -q train edsr", "avx2 avx512f", "1"),
        ("-msr_keras demo", "avx2", "1"),
        ("sr-keras demo", "avx2", "1"),
        ("-m sr_keras train", "avx2 avx512_vnni", "None"),  # where it is the default
        ("-m sr_keras train", "asimd", "None"),
        ("-m sr_keras upscale train", "avx2", "None"),
        ("-m sr_keras", "avx2", "None"),
        ("-m mytools train", "avx2", "None"),
        ("-m mytools sr_keras train", "avx2", "None"),
        ("program.py train", "avx2", "None"),
    ],
)
def test_onednn_is_turned_on_for_training(command, features, expected, tmp_path):
    for name in ("sr_keras", "mytools"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(PACKAGE)
        (tmp_path / name / "__main__.py").write_text("")
    for name in ("sr-keras", "program.py"):
        (tmp_path / name).write_text("import sr_keras")
    result = subprocess.run(
        [sys.executable, *command.split()],
        cwd=tmp_path,
        env={"FEATURES": features, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (result.stderr, result.stdout) == ("", f"{expected}\n")


def test_a_setting_of_the_user_stays(monkeypatch):
    monkeypatch.setenv(VARIABLE, "0")
    monkeypatch.setattr(processor, "features", lambda: ["avx2"])
    monkeypatch.setattr(sys, "argv", ["/bin/sr-keras", "train"])
    processor.prefer_onednn()
    assert os.environ[VARIABLE] == "0"
    assert processor.describe().endswith(f"with avx2, {VARIABLE}=0")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["avx2"], True),
        (["avx2", "avx512f"], True),
        (["avx2", "avx_vnni"], False),
        (["avx2", "avx512f", "avx512_vnni", "avx512_bf16"], False),
        (["asimd"], False),
        ([], False),
    ],
)
def test_int8_saturates_on_x86_without_vnni(found, expected, monkeypatch):
    monkeypatch.setattr(processor, "features", lambda: found)
    assert processor.saturates_int8() == expected
