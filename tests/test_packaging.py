"""What is declared, registered and documented, compared with the source."""

import ast
import importlib
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

import numpy as np
import pytest

import sr_keras as sr

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Names under which packages are imported, where those differ from the declared ones.
IMPORTED_AS = {
    "ai-edge-litert": "ai_edge_litert",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pillow-heif": "pillow_heif",
    "pytest-xdist": "xdist",
    "scikit-image": "skimage",
    "tensorflow-datasets": "tensorflow_datasets",
}
NOT_IMPORTED = {"importlib_resources"}  # tensorflow-datasets needs it


def requirement_name(requirement):
    return re.match(r"[\w-]+", requirement)[0]


def import_names(requirements):
    names = map(requirement_name, requirements)
    return {IMPORTED_AS.get(name, name) for name in names}


def third_party_imports(tree):
    """Returns the top-level names of all packages that a syntax tree imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {"sr_keras"}


def trees(folder):
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield path, ast.parse(path.read_text())


def test_the_package_declares_exactly_what_it_imports():
    declared = import_names(PROJECT["dependencies"]) - NOT_IMPORTED
    optional = import_names(sum(EXTRAS.values(), []))
    imported = set()
    for _, tree in trees("sr_keras"):
        imported |= third_party_imports(tree)
    assert imported - optional == declared


def test_optional_packages_are_imported_only_where_they_are_used():
    optional = import_names(sum(EXTRAS.values(), []))
    for path, tree in trees("sr_keras"):
        functions = (ast.FunctionDef, ast.ClassDef)
        body = [node for node in tree.body if not isinstance(node, functions)]
        imported = third_party_imports(ast.Module(body, type_ignores=[]))
        assert not imported & optional, path


@pytest.mark.parametrize("folder", ["benchmarks", "examples", "notebooks", "tests"])
def test_everything_else_imports_only_declared_packages(folder):
    declared = import_names(PROJECT["dependencies"] + sum(EXTRAS.values(), []))
    known = declared | {"tests", *(path.stem for path in (ROOT / folder).rglob("*.py"))}
    known |= {"IPython", "psutil"}  # required by ipykernel
    for path, tree in trees(folder):
        assert third_party_imports(tree) <= known, path


def test_requirements_are_those_of_the_package_the_course_and_the_tests():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    expected = PROJECT["dependencies"] + EXTRAS["course"] + EXTRAS["test"]
    assert lines == expected


def test_the_readme_and_ci_run_the_same_test_command():
    commands = [
        f"pip install -r requirements.txt && python -m {program}"
        for program in ("sr_keras demo", "pytest -n 2")
    ]
    readme = (ROOT / "README.md").read_text()
    for command in commands:
        assert f"\n    {command}\n" in readme
    assert commands[1] in (ROOT / ".ci" / "run").read_text()


def test_workflows_run_the_steps_of_ci():
    steps = set(re.findall(r"^step_(\w+)\(\)", (ROOT / ".ci/run").read_text(), re.M))
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    lists = re.findall(r"(?:backend|step): \[(.*)\]", workflow)
    called = {name.strip() for names in lists for name in names.split(",")}
    called |= set(re.findall(r"\.ci/run (\w+)$", workflow, re.M))
    assert called == steps

    versions = re.search(r"python: \[(.*)\]", workflow)[1]
    classifiers = [text.split(" :: ")[-1] for text in PROJECT["classifiers"]]
    assert json.loads(f"[{versions}]") == [x for x in classifiers if x[0].isdigit()]


def test_ci_names_its_steps_when_one_is_unknown():
    result = subprocess.run(
        [ROOT / ".ci" / "run", "lint", "no_step"], capture_output=True, text=True
    )
    assert result.returncode == 2
    assert result.stderr == (
        "The steps are tests, extras, jax, torch, lint and docs. Received: no_step\n"
    )


def test_the_version_is_the_same_everywhere():
    changes = (ROOT / "CHANGELOG.md").read_text()
    released = re.findall(r"^## \[(\d.*?)\]", changes, re.M)
    assert released[0] == sr.__version__
    assert f"\nversion: {sr.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_all_files_of_data_are_installed():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    patterns = settings["setuptools"]["package-data"]["sr_keras"]
    folder = ROOT / "sr_keras"
    installed = {path for pattern in patterns for path in folder.glob(pattern)}
    found = {path for path in folder.rglob("*.*") if path.is_file()}
    data = {path for path in found if path.suffix not in (".py", ".pyc", ".md")}
    assert data == installed
    assert {"course_answers.json", "niqe_bsds500.npz"} <= {path.name for path in data}


def test_the_entry_point_exists():
    module, function = PROJECT["scripts"]["sr-keras"].split(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_public_names_exist_and_modules_have_a_page_of_reference():
    modules = set()
    for name in sr.__all__:
        value = getattr(sr, name)
        assert name in dir(sr)
        if type(value) is type(sr):
            modules.add(name)
            assert value.__name__ == f"sr_keras.{name}"
            page = (ROOT / "docs" / "reference" / f"{name}.md").read_text()
            assert f"::: sr_keras.{name}\n" in page
    pages = {path.stem for path in (ROOT / "docs" / "reference").glob("*.md")}
    assert pages == modules | {"index"}
    navigation = (ROOT / "mkdocs.yml").read_text()
    index = (ROOT / "docs" / "reference" / "index.md").read_text()
    for name in pages - {"index"}:
        assert f"- docs/reference/{name}.md\n" in navigation
        assert f"]({name}.md)" in index
    assert {name for name in sr.__all__ if name not in modules} == {
        "evaluate",
        "export",
        "upscale",
    }


def test_functions_named_like_their_module_are_in_the_reference():
    for module in (sr.models, sr.datasets, sr.plotting, sr.training):
        name = module.__name__
        page = (ROOT / f"docs/reference/{name.split('.')[1]}.md").read_text()
        for public in module.__all__:
            # A submodule of the same name hides the function from mkdocstrings.
            if importlib.util.find_spec(f"{name}.{public}"):
                assert f"::: {name}.{public}.{public}\n" in page


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'sr_keras' has no attribute 'upscael'"):
        sr.upscael  # noqa: B018


def registered_classes():
    """Returns the registered names of all classes with Keras's decorator."""
    names = set()
    for _, tree in trees("sr_keras"):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                for decorator in map(ast.unparse, node.decorator_list):
                    if "register_keras_serializable" in decorator:
                        names.add(f"sr_keras>{node.name}")
    return names


# A user's program, a module of a package that imports sr_keras first of all.
TOOL = """
import json
import sys

import keras
import numpy as np

import sr_keras

names, model, lr, out = sys.argv[2:]
missing = [x for x in json.loads(names) if not keras.saving.get_registered_object(x)]
assert not missing, missing
np.save(out, keras.ops.convert_to_numpy(keras.models.load_model(model)(np.load(lr))))
print("tensorflow" in sys.modules)
"""


def run_tool(folder, backend, names):
    """Loads a model in a program that is started as `python -m mytools.tool`."""
    model = sr.models.on_luma(sr.models.espcn(2, filters=(4, 4)))
    if backend != "torch":  # where GANs cannot be trained
        model = sr.training.GAN(model, sr.models.patchgan(filters=2, num_layers=1))
    model.save(folder / "model.keras")
    lr = np.random.default_rng(0).random((1, 5, 7, 3), "float32")
    np.save(folder / "lr.npy", lr)
    (folder / "mytools").mkdir()
    (folder / "mytools" / "__init__.py").write_text("import sr_keras\n")
    (folder / "mytools" / "tool.py").write_text(TOOL)
    env = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    env["PYTHONPATH"] = os.pathsep.join([str(folder), str(ROOT)])
    files = ["model.keras", "lr.npy", "sr.npy"]
    command = [sys.executable, "-m", "mytools.tool", "sr_keras", json.dumps(names)]
    result = subprocess.run(
        [*command, *files], cwd=folder, env=env, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    np.testing.assert_allclose(np.load(folder / "sr.npy"), model(lr), atol=1e-5)
    return result.stdout.strip()


@pytest.mark.slow
def test_any_program_that_imports_the_package_can_load_its_models(tmp_path):
    names = sorted(registered_classes())
    assert {"sr_keras>PixelShuffle", "sr_keras>GAN", "sr_keras>SOAP"} <= set(names)
    run_tool(tmp_path, "tensorflow", names)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_register_all_classes_without_tensorflow(backend, tmp_path):
    if not importlib.util.find_spec(backend):
        pytest.skip(f"{backend} is not installed: pip install {backend}")
    names = sorted(registered_classes())
    assert run_tool(tmp_path, backend, names) == "False"


def test_a_tensorflow_that_cannot_be_imported_is_reported_as_it_is(tmp_path):
    (tmp_path / "tensorflow").mkdir()
    error = "libsomething.so.9: cannot open shared object file"
    (tmp_path / "tensorflow" / "__init__.py").write_text(
        f"raise ImportError({error!r})"
    )
    env = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    env["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(ROOT)])
    for command in (["-c", "import sr_keras"], ["-m", "sr_keras", "--help"]):
        result = subprocess.run(
            [sys.executable, *command], env=env, capture_output=True, text=True
        )
        assert result.returncode == 1
        assert result.stderr.endswith(f"ImportError: {error}\n")
