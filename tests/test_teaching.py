"""The material for teachers: questions and answers, hand-ins, slides."""

import importlib.util
import pathlib
import re
import subprocess

import nbformat
import numpy as np
import preloaded
import pytest

from sr_keras import course

NOTEBOOKS = pathlib.Path(__file__).parents[1] / "notebooks"
TEACHING = NOTEBOOKS / "teaching"
LESSONS = sorted(int(path.name[:2]) for path in (NOTEBOOKS / "source").glob("*.py"))


def load(name, monkeypatch):
    monkeypatch.syspath_prepend(str(NOTEBOOKS))
    spec = importlib.util.spec_from_file_location(name, NOTEBOOKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def grade(path):
    command = [*preloaded.python(), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-n0", str(TEACHING / "handin"), f"--handin={path}", "-c", "/dev/null"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=TEACHING)
    return dict(re.findall(r"(?m)^(\w+): (\d+ of \d+.*)$", result.stdout))


def test_solutions_reach_all_points_and_the_template_is_open():
    solved = grade(TEACHING / "answers" / "handin.py")
    reached, _, total = solved["all"].partition(" of ")
    assert reached == total and int(total) >= 30
    assert {f"lesson_{i:02}" for i in LESSONS} < set(solved)
    template = grade(TEACHING / "handin" / "handin.py")
    assert template["all"] == f"0 of {total}"
    assert all("open" in points for name, points in template.items() if name != "all")


def test_a_wrong_function_loses_its_points_only(tmp_path):
    wrong = (TEACHING / "answers" / "handin.py").read_text()
    wrong = wrong.replace("return -10 * np", "return -20 * np")
    (tmp_path / "handin.py").write_text(wrong)
    points = grade(tmp_path / "handin.py")
    assert points["lesson_01"] == "3 of 5"  # a PSNR of 0 dB stays right
    assert points["lesson_02"] == "1 of 1"


def test_there_are_questions_on_all_lessons_and_an_answer_to_each():
    questions = (TEACHING / "questions.md").read_text()
    answers = (TEACHING / "answers" / "questions.md").read_text()
    found = re.findall(r"(?m)^(\d+)\. \[(\d+), [1-5], [CEJ]\]", questions)
    expected = [str(i) for i in range(1, len(found) + 1)]
    assert len(found) >= 60 and [number for number, _ in found] == expected
    assert {int(lesson) for _, lesson in found} == set(LESSONS)
    assert re.findall(r"(?m)^(\d+)\. ", answers) == expected


def test_the_package_knows_the_answers_of_the_table(monkeypatch, capsys):
    answers = load("answers", monkeypatch)
    known = answers.read(answers.TABLE.read_text())
    assert answers.FILE.read_text() == answers.encode(known), (
        "Run: python notebooks/answers.py"
    )
    for name, (answer, tolerance) in known.items():
        course.check(np.array(answer) + 0.9 * tolerance, name)
        course.check(np.array(answer) - 1.1 * tolerance, name)
        said = capsys.readouterr().out.splitlines()
        assert said[0] == "Right!" and said[1].startswith("Not yet"), name


def test_lessons_check_the_exercise_that_they_ask_and_all_of_the_table(monkeypatch):
    answers = load("answers", monkeypatch)
    found = []
    for path in sorted((NOTEBOOKS / "source").glob("*.py")):
        for exercise in path.read_text().split("**Exercise ")[1:]:
            names = re.findall(r'course\.check\(.*"(\d.*)"\)', exercise)
            place = f"{path.name[:2]}.{exercise[0]}"
            assert {name.rstrip("ab") for name in names} <= {place}
            half = len(names) // 2  # in the exercise, and in the solution
            assert names[:half] == names[half:], place
            found += names[:half]
    assert found == list(answers.read(answers.TABLE.read_text()))


@pytest.mark.parametrize(
    "row",
    [
        "| 1.1 | name | 3 | 0.1 |",
        "| 01.2 | no tolerance | 3 |",
        "| 01.1 | twice | 3 | 0.1 |",
    ],
)
def test_rows_of_another_form_are_named(monkeypatch, row):
    answers = load("answers", monkeypatch)
    head = "Text\n\n| exercise | asks for | answer | tolerance |\n|---|---|---|---|\n"
    head += "| 01.1 | a pair | [1, 2.5] | 0.1 |\n"
    assert answers.read(head) == {"01.1": ([1, 2.5], 0.1)}
    with pytest.raises(ValueError, match=re.escape(f"Received: {row}")):
        answers.read(head + row)


def test_every_lesson_has_notes():
    notes = (TEACHING / "notes.md").read_text()
    for section in re.split(r"(?m)^## ", notes)[1:]:
        assert "**Wrong predictions**" in section and "**Board**" in section
        rows = re.findall(r"(?m)^\| (\d+) \|", section)
        assert 40 <= sum(map(int, rows)) <= 45, section[:30]
    assert re.findall(r"(?m)^## (\d+)\.", notes) == [str(i) for i in LESSONS]


def headings():
    """Returns {lesson: its headings}, without the word that marks optional ones."""
    found = {}
    for path in (NOTEBOOKS / "source").glob("*.py"):
        names = re.findall(r"(?m)^# #{2,3} (?:Optional: )?(.+)$", path.read_text())
        found[int(path.name[:2])] = names
    return found


def places(name, names):
    """Returns where a name stands among headings, whole or up to a colon or comma."""
    pattern = re.compile(re.escape(name) + r"([:,] |$)")
    return [i for i, heading in enumerate(names) if pattern.match(heading)]


def test_notes_name_sections_of_their_lesson_in_its_order():
    notes = (TEACHING / "notes.md").read_text()
    for section in re.split(r"(?m)^## (?=\d)", notes)[1:]:
        lesson = int(section.partition(".")[0])
        names, found = headings()[lesson], []
        for row, remark in re.findall(r"(?m)^\| \d+ \| (.+?) \|(.*)\|$", section):
            for name in re.split("; | up to ", row):
                found += places(name, names)[:1] or [f"no {name!r} in lesson {lesson}"]
            for name in re.findall('"([^"]+)"', remark):
                assert places(name, names), f"no {name!r} in lesson {lesson}"
        assert all(isinstance(place, int) for place in found), found
        assert found == sorted(found), f"lesson {lesson}: {found}"


def blocks(text):
    """Returns the rows of tables, and the paragraphs."""
    parts = text.strip().split("\n\n")
    rows = [part.splitlines() if part.startswith("|") else [part] for part in parts]
    return [" ".join(row.split()) for part in rows for row in part]


def test_quoted_sections_exist_in_the_lessons_that_are_named_with_them():
    syllabus = (NOTEBOOKS / "README.md").read_text()
    table = syllabus.partition("### Common misunderstandings\n")[2].partition("###")[0]
    rows = [row.partition(" | ")[2] for row in blocks(table)]  # without what is said
    rows += blocks((TEACHING / "plans.md").read_text())
    rows += blocks((NOTEBOOKS / "since_2019.md").read_text())
    known, num_quoted = headings(), 0
    for row in rows:
        named = re.findall(r"\((?:\.\./)?(\d\d)_\w+\.ipynb\)|lesson (\d+)", row)
        names = [h for a, b in named for h in known[int(a or b)]]
        for name in re.findall('"([^"]+)"', row):
            assert places(name, names), f"{name!r} is in no lesson named in: {row}"
            num_quoted += 1
    assert num_quoted > 80  # so that the patterns above still find them


@pytest.fixture
def slides(monkeypatch):
    pytest.importorskip("nbconvert")
    return load("slides", monkeypatch)


def test_slides_ask_before_they_answer_and_leave_solutions_out(slides):
    notebook = nbformat.read(NOTEBOOKS / "03_srcnn.ipynb", 4)
    cells = slides.to_slides(notebook).cells
    kinds = [cell.metadata.get("slideshow", {}).get("slide_type") for cell in cells]
    texts = [cell.source for cell in cells]
    assert kinds[0] == "slide" and texts[0].startswith("# 3. SRCNN")
    assert not any("@title Solution" in text for text in texts)
    asked = sum("**Predict" in cell.source for cell in notebook.cells)
    shown = [t for t, k in zip(texts, kinds, strict=True) if k != "notes"]
    assert sum("**Predict" in text for text in shown) == asked
    assert sum("**Exercise" in text for text in shown) == 5


def test_slides_need_no_script_but_that_of_reveal(slides, tmp_path, monkeypatch):
    monkeypatch.setattr(slides, "TARGET", tmp_path)
    page = slides.write("03_srcnn", reveal="reveal").read_text()
    assert re.findall(r'(?:src|import)[= ]"?(?:http|//)[^"]*', page) == []
    assert 'src="reveal/dist/reveal.js"' in page
    assert page.count("<math") > 10 and "xformula" not in page
    assert page.count("<section") > 40


def test_formulas_are_found_outside_of_code(monkeypatch):
    pytest.importorskip("latex2mathml")
    formulas = load("formulas", monkeypatch)
    text = formulas.mark("`$a$` costs 3 $ or 4 $, $x_1$\n\n$$y\n= 1$$\n")
    assert "`$a$` costs 3 $ or 4 $, xformulainline" in text and "xformulablock" in text
    page = formulas.draw(text)
    assert page.count("<math") == 2 and "<msub>" in page


def test_every_formula_of_the_course_is_drawn_without_commands_left_over(monkeypatch):
    pytest.importorskip("latex2mathml")
    formulas = load("formulas", monkeypatch)
    for path in (NOTEBOOKS / "source").glob("*.py"):
        lines = path.read_text().splitlines()
        prose = "\n".join(line[2:] for line in lines if line.startswith("# "))
        for token in re.findall(r"xformula[a-z]+[0-9a-f]+x", formulas.mark(prose)):
            drawn = formulas.draw(token)
            assert drawn.startswith("<math") and "\\" not in drawn, drawn
