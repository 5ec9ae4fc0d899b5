"""The layout and the directions of imports that the README and the design promise."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"exercises", "solutions", "graders", "tests"}
FILES = {
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "requirements.lock",
    ".gitignore",
    ".ci",
    ".devcontainer.json",
    "Dockerfile",
    ".dockerignore",
}
MAY_IMPORT = {
    "exercises": {"exercises"},
    "solutions": {"exercises", "solutions"},
    "graders": {"exercises", "solutions", "graders"},
}
# Each room imports only rooms that stand before it here.
ROOMS = (
    "wire", "worker", "collecting", "judge", "lessons", "report", "marks", "cohort", "followup", "authoring", "for_nbgrader",
    "trust", "bench",
)  # fmt: skip
KIT = "exercises.kit"
SHIMS = {"graders/nbgrader_bridge.py", "graders/report/nbgrader_export.py"}  # names in configurations of older courses


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.split("\n")[:-1]


def test_top_level_holds_the_four_folders_and_small_files() -> None:
    assert {path.split("/")[0] for path in tracked()} <= FOLDERS | FILES
    assert all((ROOT / name).is_dir() for name in FOLDERS)


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_go_one_way(folder: str) -> None:
    ours = FOLDERS
    wrong = [
        (path.name, name)
        for path in (ROOT / folder).rglob("*.py")
        if path.parent.name != "templates"
        for name in imported(path)
        if name.split(".")[0] in ours - MAY_IMPORT[folder]
    ]
    assert wrong == []


def test_solutions_import_only_the_kit() -> None:
    wrong = [
        name for path in (ROOT / "solutions").glob("*.py") for name in imported(path) if name.startswith("exercises.l")
    ]
    assert wrong == []


def test_what_decides_has_neither_workers_nor_probes_nor_toys_nor_solutions() -> None:
    code = "import sys, graders.judge.deciding; print(list(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    others = ("graders.worker", "graders.lessons", "solutions", "exercises.kit.probes", "exercises.kit.toys")
    assert "graders.judge.deciding" in ran.stdout
    assert [name for name in ast.literal_eval(ran.stdout) if name.startswith(others)] == []


def room_of(name: str) -> str:
    return name.split(".")[1] if name.startswith("graders.") else ""


def test_worker_and_wire_import_nothing_of_judge_lessons_or_solutions() -> None:
    for path in [*(ROOT / "graders/worker").rglob("*.py"), *(ROOT / "graders/wire").rglob("*.py")]:
        others = ("graders.judge", "graders.collecting", "graders.lessons", "solutions")
        assert not {name for name in imported(path) if name.startswith(others)}, path


def test_rooms_import_only_rooms_below_them() -> None:
    wrong = {
        (path.relative_to(ROOT).as_posix(), name)
        for height, room in enumerate(ROOMS)
        for path in (ROOT / "graders" / room).rglob("*.py")
        for name in imported(path)
        if room_of(name) in ROOMS[height + 1 :] and path.relative_to(ROOT).as_posix() not in SHIMS
    }
    assert wrong == set()


def modules() -> dict[str, set[str]]:
    """Return which of the project's modules each of them imports, wherever in the file."""
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for folder in ("graders", "exercises/kit")
        for path in (ROOT / folder).rglob("*.py")
        if path.parent.name != "templates"
    }
    return {name: {found for found in imported(path) if found in paths} - {name} for name, path in paths.items()}


def test_no_imports_in_a_circle() -> None:
    graph = modules()
    while leaves := {name for name, needed in graph.items() if not needed & graph.keys()}:
        graph = {name: needed for name, needed in graph.items() if name not in leaves}
    assert graph == {}


def test_the_top_of_graders_holds_rooms_and_four_files() -> None:
    top = {path.split("/")[1] for path in tracked() if path.startswith("graders/")}
    files = {"__init__.py", "__main__.py", "conftest.py", "errors.py", "README.md"}
    assert top == files | set(ROOMS) | {path.split("/")[1] for path in SHIMS if path.count("/") == 1}


def test_no_room_is_crowded() -> None:
    for room in [*(ROOT / "graders").iterdir(), *(ROOT / KIT.replace(".", "/")).iterdir()]:
        assert len(list(room.glob("*.py"))) <= 13, room  # a dozen and __init__


def test_a_light_lesson_loads_neither_transformers_nor_quanto() -> None:
    code = "import sys, exercises.l2_data_types; print([n for n in ('transformers', 'optimum.quanto') if n in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_modules_are_small() -> None:
    lessons = ROOT / "graders/lessons"
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for folder in ("graders", "exercises/kit")
        for path in (ROOT / folder).rglob("*.py")
        if lessons not in path.parents
    }
    assert {name: size for name, size in sizes.items() if size > 300} == {}
