"""The notebooks: that they run, and that what is committed is whole and up to date."""

import importlib.util
import io
import json
import pathlib
import re
import subprocess
import tomllib

import nbformat
import numpy as np
import preloaded
import pytest
from PIL import Image

FOLDER = pathlib.Path(__file__).parents[1] / "notebooks"


def load(name):
    path = FOLDER / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"notebooks_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build, checks = load("build"), load("checks")
ALLOWED = tomllib.loads((FOLDER / "allowed.toml").read_text())

every = pytest.mark.parametrize("name", build.names())


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Installs a Jupyter kernel that need not import TensorFlow, and names it."""
    launcher = ("-m", "ipykernel_launcher", "-f", "{connection_file}")
    content = {
        "argv": [*preloaded.python(), *launcher],
        "display_name": "preloaded",
        "language": "python",
        "env": {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    }
    folder = tmp_path / "kernels" / "preloaded"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(content))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    return folder.name


# One short lesson is executed in every run of the tests, the others in full ones.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name[:2] == "01" else pytest.mark.slow)
        for name in build.names()
    ],
)
def test_lesson_runs_in_fast_mode(name, kernel):
    notebook = build.to_notebook(build.source_path(name).read_text())
    build.execute(notebook, True, kernel)  # raises with the traceback of a failed cell
    assert "FAST is on" in str(notebook.cells[1].outputs)
    wrong = checks.wrong_solutions(notebook)
    printed = str([cell.get("outputs") for cell in notebook.cells])
    if "weights are not here" in printed:  # of VGG19
        wrong = [finding for finding in wrong if '"07.3"' not in finding]
    assert wrong == []


def test_fast_lessons_are_said_to_take_at_most_twenty_minutes_together():
    stated = {name: build.minutes(name)[0] for name in build.names()}
    assert max(stated.values()) <= 1 and sum(stated.values()) <= 20, stated


@every
def test_source_and_notebook_agree(name):
    assert build.staleness(name) == [], f"Run: python notebooks/build.py {name}"


# Student editions are not executed: their code is that of the lesson, which is, and
# `needs_solution` in checks.py finds cells that would miss the solutions.
@every
def test_student_edition_has_all_code_of_the_lesson_but_the_solutions(name):
    parts = re.split(r"(?m)^# %%(.*)\n", build.source_path(name).read_text())[1:]
    cells = list(zip(parts[::2], parts[1::2], strict=True))
    code = [(tags, text.strip()) for tags, text in cells if "[markdown]" not in tags]
    kept = [text for tags, text in code if "solution" not in tags]
    assert len(kept) <= len(code) - 3  # there are at least three exercises

    student = nbformat.read(build.student_path(name), 4).cells
    found = [cell.source for cell in student if cell.cell_type == "code"]
    for deeper, here in (('"../../sr', '"../sr'), ('"../.."', '".."')):
        found = [text.replace(deeper, here) for text in found]
    assert found == kept
    assert all(cell.get("outputs", []) == [] for cell in student)
    shown = "\n".join(cell.source for cell in student)
    for tags, text in cells:
        if "solution" in tags and "[markdown]" in tags:
            assert re.sub("(?m)^# ?", "", text).strip() not in shown


@every
def test_committed_notebook_is_executed_with_pictures_and_small(name):
    assert build.faults_of_outputs(name) == []


@pytest.mark.parametrize(
    "page", [str(page.relative_to(build.ROOT)) for page in build.pages()]
)
def test_links_lead_somewhere_and_agree_with_the_project_address(page):
    assert build.dead_links(build.ROOT / page) == []


def test_everything_is_in_place():
    assert build.faults() == [], "Run: python notebooks/build.py --text"


@every
def test_lesson_has_the_parts_that_the_course_has(name):
    cells = build.to_notebook(build.source_path(name).read_text()).cells
    title, setup = cells[0].source, cells[1].source
    for part in ("# ", "**You will be able to**", "**You need**", "**Time:**"):
        assert part in title
    assert f"](figures/{name[:2]}_goal.jpg)" in title
    assert "minutes to read the core" in title
    # the same first cell in every lesson, but for the arguments of `start`
    first = build.to_notebook(build.source_path(build.names()[0]).read_text())
    same = first.cells[1].source.partition("sr.course.start(")[0]
    assert setup.partition("sr.course.start(")[0] == same
    solutions = [cell for cell in cells if cell.source.startswith("# @title Solution")]
    assert 3 <= len(solutions) <= 5
    for cell in solutions:
        assert "solution" in cell.metadata.tags
        assert cell.metadata.cellView == "form"
        assert cell.metadata.jupyter.source_hidden is True
        assert cell.metadata.jupyter.outputs_hidden is True
    text = "\n".join(cell.source for cell in cells)
    for heading in ("Exercises", "Summary", "Further reading"):
        assert f"\n## {heading}" in f"\n{text}", f"There is no heading '{heading}'"


@every
def test_lesson_has_no_more_than_the_allowed_findings(name):
    notebook = nbformat.read(build.notebook_path(name), 4)
    for check, find in checks.CHECKS.items():
        findings = find(notebook)
        allowed = ALLOWED.get(check, {}).get(name[:2], 0)
        assert len(findings) <= allowed, (check, findings)
        assert len(findings) == allowed, f"Lower {check} {name[:2]} in allowed.toml."


def test_exceptions_name_lessons_and_checks():
    assert set(ALLOWED) <= set(checks.CHECKS)
    lessons = {name[:2] for name in build.names()}
    assert all(set(counts) <= lessons for counts in ALLOWED.values())


def test_the_address_is_a_placeholder_only_as_long_as_there_is_no_public_one():
    command = ["git", "remote", "get-url", "origin"]
    found = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)
    if "/OWNER/" in build.address() and "github.com" in found.stdout:
        pytest.fail(f"Write {found.stdout.strip()} into pyproject.toml, then --text.")


def test_every_figure_is_shown_in_its_lesson_and_has_a_copy_for_students():
    for path in sorted((FOLDER / "figures").glob("*.*")):
        name = path.with_suffix(".svg").name if path.suffix == ".png" else path.name
        (source,) = (FOLDER / "source").glob(f"{path.name[:2]}_*.py")
        assert f"](figures/{name})" in source.read_text(), path
        if path.suffix == ".svg":
            assert path.with_suffix(".png").exists()


# The build itself, on lessons made for it

SOURCE = """# %% [markdown]
# # 1. One
#
# What it is on.
#
# **Time:**

# %%
install = "git+https://github.com/OTHER/sr_keras"
here = start(minutes=(0.5, 1, 2.5))

# %% [markdown]
# A picture, ![of a dot](figures/dot.png),
# a [table](README.md), [lesson 2](02_two.ipynb).

# %% [markdown]
# ## Optional: more
#
# **Exercise 1.** What does it print?

# %% [markdown] tags=["solution"]
# It prints an address.

# %% tags=["solution"]
print(object())
"""


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A project with two lessons, the first of them SOURCE."""
    folder = tmp_path / "notebooks"
    (folder / "source").mkdir(parents=True)
    (folder / "figures").mkdir()
    Image.new("L", (1, 1)).save(folder / "figures" / "dot.png")
    (folder / "source" / "01_one.py").write_text(SOURCE)
    (folder / "source" / "02_two.py").write_text(SOURCE.replace("1. One", "2. Two"))
    (folder / "README.md").write_text("<!-- lessons -->\n<!-- end of lessons -->\n")
    (tmp_path / "pyproject.toml").write_text(
        '[project.urls]\nRepository = "https://github.com/ME/sr_keras"\n'
    )
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "FOLDER", folder)
    return folder


def as_executed(name, output=None):
    notebook = build.to_notebook(build.stamped(name))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count = 1
    notebook.metadata["executed"] = build.digest(notebook)
    if output:
        notebook.cells[-1].outputs = [output]
    return notebook


def picture(size, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), "uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    data = {"image/png": build.base64.b64encode(file.getvalue()).decode()}
    return nbformat.v4.new_output("display_data", data)


def save(notebook, name):
    build.write(build.notebook_path(name), nbformat.writes(notebook) + "\n")


def test_links_and_times_are_written_from_one_place(course):
    text = build.stamped("01_one")
    assert '"git+https://github.com/ME/sr_keras"' in text
    assert "1 minute of computing on two CPU cores" in text
    assert "**Optional** section, 5 minutes more: *more*." in text
    assert "2.5 minutes on a GPU in Colab (an estimate)" in text
    colab = "https://colab.research.google.com/github/ME/sr_keras/blob/main/notebooks"
    colab += "/student"
    assert f"[Open in Colab]({colab}/01_one.ipynb)" in text
    assert f"Next: [2. Two](02_two.ipynb) ([in Colab]({colab}/02_two.ipynb))" in text
    assert "Previous" not in text and "Previous" in build.stamped("02_two")


def test_text_mode_keeps_outputs_and_names_lessons_to_execute(course):
    for name in build.names():
        save(as_executed(name, picture(8)), name)
    assert build.write_text_everywhere() == []
    assert build.faults() == []
    row = "| [1. One](student/01_one.ipynb) | What it is on. | 5, 5, 0 | 1 |"
    assert row in (course / "README.md").read_text()

    source = build.source_path("01_one")
    source.write_text(source.read_text().replace("What it is on", "New prose"))
    (course.parent / "pyproject.toml").write_text(
        '[project.urls]\nRepository = "https://github.com/YOU/sr_keras"\n'
    )
    assert build.faults() != []
    assert build.write_text_everywhere() == []
    assert build.faults() == []
    cells = nbformat.read(build.notebook_path("01_one"), 4).cells
    assert "New prose" in cells[0].source and "YOU" in cells[1].source
    assert cells[-1].outputs and cells[-1].execution_count == 1

    source.write_text(source.read_text().replace("object()", "1"))
    assert build.write_text_everywhere() == ["01_one"]
    assert build.staleness("01_one") == [
        "01_one: source and notebook disagree from cell 5 on"
    ]


def test_outputs_of_other_code_are_found(course):
    for name in build.names():
        save(as_executed(name, picture(8)), name)
    build.write_text_everywhere()
    assert build.faults() == []
    source = build.source_path("01_one")
    source.write_text(source.read_text().replace("object()", "1"))
    notebook = nbformat.read(build.notebook_path("01_one"), 4)
    notebook.cells[-1].source = notebook.cells[-1].source.replace("object()", "1")
    fresh = build.to_notebook(source.read_text())
    notebook.cells[-1]["id"] = fresh.cells[-1]["id"]
    save(notebook, "01_one")  # the code of the source, with the outputs of another one
    build.write_text_everywhere()
    assert build.faults() == [
        "01_one: the outputs are not those of this code; execute it"
    ]


def test_student_edition_has_no_solutions_and_no_outputs(course):
    for name in build.names():
        save(as_executed(name, picture(8)), name)
    build.write_text_everywhere()
    student = nbformat.read(build.student_path("01_one"), 4)
    assert len(student.cells) == 4
    assert all(cell.get("outputs", []) == [] for cell in student.cells)
    text = "\n".join(cell.source for cell in student.cells)
    assert "Exercise 1" in text and "prints an address" not in text
    assert "![of a dot](data:image/png;base64," in text
    assert "a [table](../README.md), [lesson 2](02_two.ipynb)" in text
    assert "[Teacher edition, with outputs and solutions](../01_one.ipynb)" in text
    assert build.dead_links(build.student_path("01_one")) == []

    build.student_path("01_one").write_text("")
    (fault,) = build.staleness("01_one")
    assert fault == "01_one: the student edition is not up to date"


def test_sections_are_optional_up_to_the_next_heading_of_their_level():
    parts = ["## One", "### Optional: a", "Text", "### b", "## Optional: c", "### d"]
    source = "".join(f"# %% [markdown]\n# {part}\n\n" for part in [*parts, "## End"])
    cells = build.to_notebook(source).cells
    assert ["optional" in cell.metadata.get("tags", []) for cell in cells] == [
        False, True, True, False, True, True, False
    ]  # fmt: skip


def test_a_section_that_is_optional_must_begin_and_end_a_cell(course):
    parts = ["## One", "Text", "### Optional: a", "Text", "### b", "### Optional: c"]
    lesson = build.source_path("01_one")
    apart = "".join(f"# %% [markdown]\n# {part}\n\n" for part in parts)
    lesson.write_text(apart)
    assert build.misplaced_headings("01_one") == []
    lesson.write_text("# %% [markdown]\n" + "".join(f"# {part}\n#\n" for part in parts))
    assert build.misplaced_headings("01_one") == [
        "01_one: a cell must begin with '### Optional: a'",
        "01_one: a cell must begin with '### b'",
        "01_one: a cell must begin with '### Optional: c'",
    ]


def test_a_copy_of_the_repository_is_found_from_both_editions():
    name = build.names()[0]
    for path, up in ((build.notebook_path, 1), (build.student_path, 2)):
        source = nbformat.read(path(name), 4).cells[1].source
        assert f'"{"../" * up}sr_keras/__init__.py"' in source
        assert f'package = "{"/".join([".."] * up)}" if local' in source


def test_faults_of_outputs_are_found(course, monkeypatch):
    save(as_executed("01_one"), "01_one")
    assert build.faults_of_outputs("01_one") == ["01_one: there is no picture in it"]
    notebook = as_executed("01_one", picture(8))
    notebook.cells[1].execution_count = None
    save(notebook, "01_one")
    assert build.faults_of_outputs("01_one") == [
        "01_one: code cell 0 was never executed"
    ]
    save(as_executed("01_one", picture(64)), "01_one")
    monkeypatch.setattr(build, "LIMIT", 10_000)
    (fault,) = build.faults_of_outputs("01_one")
    assert "more than 10000" in fault
    assert build.faults_of_outputs("02_two") == ["02_two: the notebook is missing"]


@pytest.mark.parametrize(
    "link, fault",
    [
        ("01_one.ipynb", "no 01_one.ipynb"),
        ("source/01_one.py", None),
        ("#a-heading", None),
        ("#no-heading", "no heading for #no-heading"),
        ("https://arxiv.org/abs/1609.05158", None),
        ("https://github.com/ME/sr_keras", None),
        ("https://github.com/ME/sr_keras/blob/main/pyproject.toml", None),
        ("https://github.com/ME/sr_keras/blob/main/absent.py", "leads nowhere"),
        ("https://github.com/OTHER/sr_keras", "leads nowhere"),
        ("https://colab.research.google.com/github/A/b/blob/main/c.ipynb", "nowhere"),
    ],
)
def test_dead_links_are_found(course, link, fault):
    page = course / "page.md"
    page.write_text(f"# A heading\n\nA [link]({link}), and `[code](no.md)`.\n")
    found = build.dead_links(page)
    assert (fault in found[0]) if fault else (found == [])


def test_an_address_in_code_must_be_that_of_the_project(course):
    save(build.to_notebook(SOURCE), "01_one")
    save(build.to_notebook(SOURCE), "02_two")
    (fault,) = build.dead_links(build.notebook_path("01_one"))
    assert "git+https://github.com/OTHER/sr_keras is not at" in fault


def test_clean_removes_what_changes_from_run_to_run():
    notebook = build.to_notebook(SOURCE)
    cell = notebook.cells[-1]
    cell.outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="<object at 0x7f12ab>\n"),
        nbformat.v4.new_output("stream", name="stderr", text="a warning\n"),
        picture(16),
        picture(400),
    ]
    assert build.clean(notebook) == "a warning\n"
    text, small, large = cell.outputs
    assert text.text == "<object>\n"
    code = build.base64.b64decode(small.data["image/png"])
    expected = np.random.default_rng(0).integers(0, 256, (16, 16, 3), "uint8")
    np.testing.assert_array_equal(Image.open(io.BytesIO(code)), expected)
    assert "image/png" in large.data or "image/jpeg" in large.data


def test_large_photos_become_jpegs_and_large_charts_stay():
    y, x = np.mgrid[:600, :600]
    noise = np.random.default_rng(0).normal(0, 3, (600, 600))
    photo = np.clip(128 + 60 * np.sin(x / 40) + 40 * np.cos(y / 30) + noise, 0, 255)
    for pixels, kind in ((photo, "image/jpeg"), (128 + 0 * photo, "image/png")):
        file = io.BytesIO()
        Image.fromarray(pixels.astype("uint8")).save(file, "png")
        found, code = build._smaller(file.getvalue())
        assert found == kind
        difference = np.asarray(Image.open(io.BytesIO(code)), float)[..., 0] - pixels
        assert np.abs(difference).mean() < 2


def test_ids_of_cells_follow_from_their_text():
    first, again = build.to_notebook(SOURCE), build.to_notebook(SOURCE)
    ids = [cell.id for cell in first.cells]
    assert ids == [cell.id for cell in again.cells] and len(set(ids)) == 6
    moved = build.to_notebook("# %%\n1\n\n" + SOURCE)
    assert [cell.id for cell in moved.cells[1:]] == ids


# The checks of lessons


def cells_of(*sources):
    """Makes a notebook of code, or of Markdown where a text begins with '#: '."""
    parts = [
        f"# %% [markdown]\n# {s.removeprefix('#: ')}\n"
        if s.startswith("#: ")
        else f"# %%\n{s}\n"
        for s in sources
    ]
    return build.to_notebook("\n".join(parts))


@pytest.mark.parametrize(
    "sources, findings",
    [
        (["x = 1", "x = 2.5"], []),
        (["x = 1", "x = 'a'"], ["cell 1: `x` is a number and a text"]),
        (["x = []", "x = {}"], ["cell 1: `x` is a dict and a list"]),
        (["x = None", "x = [1]"], []),
        (["import a", "a = f()"], ["cell 1: `a` is a module and something"]),
        (["def f(): pass", "f = 1"], ["cell 1: `f` is a function and a number"]),
        (["def f(): pass", "def f(): return 1"], []),
        (["x = f()", "x = 1"], []),
        (["for k in a: x = 1", "x = {}"], ["cell 1: `x` is a dict and a number"]),
    ],
)
def test_names_that_change_their_kind_are_found(sources, findings):
    assert checks.rebound(cells_of(*sources)) == findings


def test_names_that_only_a_removed_cell_defines_are_found():
    lesson = cells_of("a = 1", "b = a", "def f(x):\n    return a + b + x", "c = f(1)")
    lesson.cells[1].metadata["tags"] = ["solution"]
    expected = ["cell 2 uses `b` of cell 1"]
    assert checks.missing_without(lesson, "solution") == expected
    said = cells_of("b = 1", "#: It needs the optional section.", "b")
    said.cells[0].metadata["tags"] = ["optional"]
    assert checks.missing_without(said, "optional") == []


def test_other_findings():
    long = cells_of("\n".join(["x = 1"] * 26))
    assert checks.long_cells(long) == ["cell 0 has 26 lines"]
    lesson = cells_of(
        'sr.course.check(answer, "01.1")',
        "sr.course.check(answer, 3 * n)",
        'if answer is not None:\n    sr.course.check(answer, "01.1", tolerance=1)',
    )
    assert checks.answers_in_checks(lesson) == [
        "cell 1: check(..., 3 * n)",
        "cell 2: check(..., '01.1', 1)",
    ]
    assert checks.wrong_solutions(lesson) == []
    lesson.cells[0].metadata["tags"] = ["solution"]
    assert checks.answers_in_checks(lesson)[0] == "cell 1: check(..., 3 * n)"
    assert checks.wrong_solutions(lesson) == ['cell 0: check(answer, "01.1")']
    said = nbformat.v4.new_output("stream", name="stdout", text="Right!\n0.2\n")
    lesson.cells[0].outputs = [said]
    assert checks.wrong_solutions(lesson) == []
    (found,) = checks.private_words(cells_of("#: The maker and `maker`."))
    assert "'maker'" in found
    assert checks.open_solutions(cells_of("# @title Solution 1\n1")) != []
    assert checks.fast_branches(cells_of("if here.fast: pass")) != []
    text = nbformat.v4.new_output("stream", name="stdout", text="av is not installed")
    skipped = cells_of("1")
    skipped.cells[0].outputs = [text]
    assert checks.skipped(skipped) == ["cell 0: 'not installed'"]
