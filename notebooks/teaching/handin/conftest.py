"""Loads the hand-in, and reports points."""

import collections
import importlib.util
import pathlib

import pytest

FOLDER = pathlib.Path(__file__).parent
_points = collections.defaultdict(lambda: [0, 0, 0])  # reached, open, of


def pytest_addoption(parser):
    parser.addoption("--handin", default=str(FOLDER / "handin.py"), help="a file")


@pytest.fixture(scope="session")
def handin(request):
    path = request.config.getoption("--handin")
    spec = importlib.util.spec_from_file_location("handed_in", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if call.excinfo is not None and call.excinfo.errisinstance(NotImplementedError):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, "open")
        report.is_open = True
    if report.when == "call":
        points = _points[item.name.split("[")[0].removeprefix("test_")[:9]]
        points[0] += report.passed
        points[1] += getattr(report, "is_open", False)
        points[2] += 1


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("points")
    for lesson, (reached, unanswered, total) in sorted(_points.items()):
        note = f", {unanswered} open" if unanswered else ""
        terminalreporter.write_line(f"{lesson}: {reached} of {total}{note}")
    reached, total = (sum(p[i] for p in _points.values()) for i in (0, 2))
    terminalreporter.write_line(f"all: {reached} of {total}")
