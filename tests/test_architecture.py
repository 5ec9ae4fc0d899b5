"""The layout and the directions of imports that the README and the design promise."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"exercises", "solutions", "graders", "tests"}
FILES = {"pyproject.toml", "README.md", "LICENSE", "requirements.lock", ".gitignore", ".ci"}
MAY_IMPORT = {
    "exercises": {"exercises"},
    "solutions": {"exercises", "solutions"},
    "graders": {"exercises", "solutions", "graders"},
}
WORKER_SIDE = ("wire", "recipes", "models", "submission", "plans", "magics", "worker", "world", "sandbox", "zygote")


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


def test_what_runs_in_the_worker_imports_nothing_of_the_judge() -> None:
    allowed = {f"graders.judge.{name}" for name in WORKER_SIDE}
    for name in WORKER_SIDE:
        ours = {found for found in imported(ROOT / f"graders/judge/{name}.py") if found.startswith("graders")}
        assert {".".join(found.split(".")[:3]) for found in ours} - {"graders.judge"} <= allowed


def test_the_judge_imports_no_lesson() -> None:
    for path in (ROOT / "graders/judge").glob("*.py"):
        assert not {name for name in imported(path) if name.startswith(("graders.lessons", "solutions"))}


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
    assert {name: size for name, size in sizes.items() if size > 330} == {}
