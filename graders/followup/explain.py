"""`python -m graders explain DIR STUDENT EXERCISE`: why an exercise lost points, with the hidden input. For instructors only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from exercises.kit.checking.showing import show
from graders import lessons
from graders.cohort import grading, verdicts
from graders.cohort.choosing import Chooser
from graders.cohort.judging import Bench, read
from graders.cohort.layouts import Recogniser
from graders.cohort.people import gather
from graders.cohort.roster import Roster
from graders.cohort.submissions import Submission
from graders.collecting import attempt
from graders.errors import Problem
from graders.followup.literals import Script
from graders.judge.judge import Judge
from graders.judge.proxy import Proxy, parameters
from graders.judge.told import told
from graders.report.handed_back import file_names

FOLDER = "explained"  # in an output folder: tensors that are too large to print
LONGEST = 4000  # characters of a value that is shown


class Failure(NamedTuple):
    """A case that an exercise fails: its check, its pytest id, the proxy with the calls that it made, what it ended with."""

    check: Any
    case: str
    student: Proxy
    error: Exception


def explain(folder: Path, student: str, exercise: str, places: list[Path]) -> Iterator[str]:
    """Judge one exercise of a student again and yield the text on it, part by part.

    The submission is looked for under `places`, else where `grade` found it. Raises Problem when there is nothing to explain.
    """
    lesson = next((name for name in lessons.names() if exercise in lessons.exercises(name)), None)
    if lesson is None:
        raise Problem(f"there is no exercise {exercise}")
    book = verdicts.opened(folder)
    try:
        if (student, lesson) not in book.keys:
            raise Problem(f"there is no verdict on {lesson} of {student} in {folder}")
        verdict, seed = book.verdict((student, lesson)), book.seed
    finally:
        book.close()
    yield _head(verdict, exercise)
    runs = [{"paths": list(map(str, places))}] if places else verdicts.looked_at(folder)[::-1]
    paths = [Path(path) for run in runs for path in run["paths"]]
    bench = Bench(seed, grading.hidden(paths, folder))
    try:
        found = _submission(runs, student, lesson, bench)
        if found is None:
            raise Problem(f"the files of {student} are not where they were graded; name their place with --from PATH")
        if found.sha256 != verdict["sha256"]:
            yield "The files are other ones now than those that were graded: this is about what lies there now."
        for path, plan in read(bench, found, lesson):
            yield from _of_file(
                bench.judge(lesson), plan, exercise, path, folder / FOLDER / f"{stem(student)}__{exercise}"
            )
    finally:
        bench.close()


def _head(verdict: dict[str, Any], exercise: str) -> str:
    each = next((one for one in verdict["exercises"] if one["name"] == exercise), None)
    if each is None:
        return f"{verdict['student']}, {verdict['lesson']}: {verdict.get('reason', f'{exercise} does not count')}"
    override = verdict.get("overrides", {}).get(exercise)
    by = f"; override {override['score']:g}: {override['reason']}" if override else ""
    hint = f"\nhint     {each['hint']}" if each["hint"] else ""
    score = f"{each['score']:g} of {each['max_score']:g} points"
    return f"{verdict['student']}, {exercise}: {each['outcome']}, {score}{by}{hint}"


def _submission(runs: list[dict[str, Any]], student: str, lesson: str, bench: Bench) -> Submission | None:
    """Return what counts of a student's work on a lesson, as `grade` chooses it, from the newest run that has it."""
    for run in runs:
        paths = [path for path in map(Path, run["paths"]) if path.exists()]
        if not paths:
            continue
        recogniser = Recogniser(lessons.names(), run.get("layout"), run.get("pattern"))
        listed = run.get("roster")
        people = gather(paths, recogniser, Roster(Path(listed)) if listed and Path(listed).exists() else None).people
        for person in people:
            if student == person.student or student.startswith(f"{person.student} ("):  # as collisions are called
                for one in Chooser(bench.read).choose(person):
                    if one.student == student and one.lesson in (lesson, None) and not one.problem:
                        return one
    return None


def _of_file(judge: Judge, plan: dict[str, Any], exercise: str, path: str, file: Path) -> Iterator[str]:
    """Yield what the checks of an exercise say of one file."""
    submission = attempt.Submission(plan)
    known = judge.exercise(exercise)
    asked = submission.asked(exercise, judge.recording.calls(exercise), known.together_with)
    trial = attempt.Attempt(judge.zygote, submission, asked)
    trial.start()
    count = 0
    try:
        lost = trial.fate()
        if lost:
            yield f"{path}: {lost[0]}\n{lost[1]}"
            return
        for failure in _failures(judge, exercise, trial):
            count += 1
            yield _about(failure, judge, exercise, file.with_name(f"{file.name}__{count}.safetensors"))
    finally:
        trial.end()
    if not count:
        yield f"{path}: every check passes now."


def _failures(judge: Judge, exercise: str, trial: attempt.Attempt) -> Iterator[Failure]:
    """Yield of each check that does not pass the first case that fails, the main check's first."""
    known = judge.exercise(exercise)
    for check in sorted(known.checks, key=lambda one: not one.main):
        for case in check.cases:
            student = Proxy(trial.ask)
            try:
                known.run(check, case, judge.seed, student, judge.reference)
            except Exception as error:
                yield Failure(check, case.id, student, error)
                break


def _about(failure: Failure, judge: Judge, exercise: str, file: Path) -> str:
    check = failure.check
    case = f"[{failure.case}]" if failure.case else ""
    lines = [f"check    {check.name}{case}{', the main one' if check.main else ''}", f"rule     {check.sentence}"]
    compared = _compared(failure.error)
    if compared:
        lines.append(f"compared {compared['rule'].name}")
    lines.append("")
    call = failure.student.last_call
    if call is not None:
        name, args, kwargs, probe = call
        labels = parameters(probe)[1:] if probe else parameters(vars(judge.lesson.solution).get(name))
        lines += [Script(file).call(name, args, kwargs, probe, labels), ""]
    got = told(failure.error, exercise)[1]
    if compared:
        got = [f"got    {show(compared['got'], LONGEST)}", f"want   {show(compared['want'], LONGEST)}"]
    return "\n".join([*lines, *(f"{line[:6].strip():8} {line[7:]}" for line in got)])


def _compared(error: Exception) -> dict[str, Any] | None:
    """Return got, want and the rule of closeness of the comparison that failed, if it was one."""
    trace, found = error.__traceback__, None
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_name == "same" and frame.f_globals.get("__name__") == "exercises.kit.checking.closeness":
            found = {key: frame.f_locals[key] for key in ("got", "want", "rule")}
        trace = trace.tb_next
    return found


def stem(student: str) -> str:
    """Return with what the names of files begin that are made to explain a student's marks."""
    return file_names([student])[student].replace(" ", "_")
