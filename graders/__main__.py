"""The command line: `python -m graders COMMAND`, the commands in the order of an instructor's day."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from graders.wire.tiers import TIERS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m graders",
        description="Hand out, grade and explain the exercises; then what maintainers need: derive, trust, bench, selfcheck.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    release = commands.add_parser("release", help="write the student kit, without solutions or graders")
    release.set_defaults(run=_release)
    release.add_argument("directory", type=Path, metavar="DIR")

    course = commands.add_parser("course", help="write an nbgrader course: config, source notebooks, README")
    course.set_defaults(run=_course)
    course.add_argument("directory", type=Path, metavar="DIR")
    _add_what_counts(course)

    sample = commands.add_parser("sample", help="write a class that does not exist, to try grade and its report on")
    sample.set_defaults(run=_sample)
    sample.add_argument("directory", type=Path, metavar="DIR")
    sample.add_argument("--students", type=_positive, default=120, metavar="N", help="how many (default: 120)")
    sample.add_argument("--lessons", nargs="+", default=["l2_data_types"], metavar="LESSON", help="default: lesson 2")
    sample.add_argument("--seed", default="sample", metavar="TEXT", help="another seed is another class")

    grade = commands.add_parser("grade", help="grade files, folders and archives")
    grade.set_defaults(run=_grade)
    grade.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    grade.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="where verdicts.jsonl and grades.csv go"
    )
    grade.add_argument(
        "--layout", metavar="NAME", help="how what is handed in is arranged, where guessing is not enough"
    )
    grade.add_argument(
        "--pattern", metavar="REGEX", help="what paths begin with; groups student, and name, attempt, late if need be"
    )
    _add_what_counts(grade)
    grade.add_argument("--roster", type=Path, metavar="FILE.csv", help="the class list: id, name, email, section, ...")
    grade.add_argument(
        "--due",
        action="append",
        default=[],
        metavar="[LESSON=]WHEN",
        help="when it was due: 2026-03-31, or '2026-03-31 18:00'; the roster's columns due and extension come first",
    )
    grade.add_argument(
        "--late-penalty",
        metavar="PERCENT[:MAX]",
        help="percent of the score for each day late, at most MAX (default: none)",
    )
    spread = grade.add_mutually_exclusive_group()
    spread.add_argument(
        "--workers", type=_positive, default=1, metavar="N", help="judge on N processes of this machine"
    )
    spread.add_argument("--scheduler", metavar="ADDRESS", help="judge on the machines of this Dask scheduler")
    grade.add_argument(
        "--seed", metavar="TEXT", help="the secret that hidden inputs are made from (default: made once)"
    )
    grade.add_argument(
        "--require-tier", type=_tier, metavar="TIER", help="refuse to grade with less isolation (see selfcheck)"
    )
    grade.add_argument(
        "--pseudonyms", action="store_true", help="no names in the leaderboard of lesson 8, but model 1, model 2, ..."
    )

    explain = commands.add_parser(
        "explain", help="why an exercise lost points: the failing hidden input as a call to paste"
    )
    explain.set_defaults(run=_explain)
    explain.add_argument("directory", type=Path, metavar="DIR")
    explain.add_argument("student", metavar="STUDENT")
    explain.add_argument("exercise", metavar="EXERCISE")
    explain.add_argument(
        "--from", dest="places", type=Path, nargs="+", default=[], metavar="PATH", help="where the submissions lie now"
    )

    views = commands.add_parser(
        "views", help="write JUnit, Gradescope, Classroom 50, Canvas and Moodle files of verdicts"
    )
    views.set_defaults(run=_views)
    views.add_argument("directory", type=Path, metavar="DIR")
    views.add_argument("--roster", type=Path, metavar="FILE.csv", help="the class list, for Canvas and Moodle")

    forget = commands.add_parser("forget", help="take a student's data out of every file in DIR")
    forget.set_defaults(run=_forget)
    forget.add_argument("directory", type=Path, metavar="DIR")
    forget.add_argument("student", metavar="STUDENT")

    autograder = commands.add_parser("gradescope", help="write an autograder for Gradescope: DIR/autograder.zip")
    autograder.set_defaults(run=_gradescope)
    autograder.add_argument("directory", type=Path, metavar="DIR")

    derive = commands.add_parser("derive", help="regenerate exercises/ from solutions/")
    derive.set_defaults(run=_derive)
    derive.add_argument("--check", action="store_true", help="change nothing; exit 1 if something is out of date")

    judge = commands.add_parser("judge", help="what `pytest exercises/ --judge` asks: a JSON line per exercise")
    judge.set_defaults(run=_judge)
    judge.add_argument("exercises", nargs="+", metavar="FILE[::EXERCISE]")
    judge.add_argument(
        "--stdin", action="store_true", help="load what these need, and read from the standard input what to judge"
    )

    trust = commands.add_parser("trust", help="measure how good the graders are")
    trust.set_defaults(run=_trust)
    trust.add_argument("lessons", nargs="*", metavar="LESSON")
    trust.add_argument("--output", type=Path, metavar="DIR")
    trust.add_argument("--attacks", action="store_true", help="judge the bank of attacks, and nothing else")

    bench = commands.add_parser("bench", help="measure what grading costs, against its floor")
    bench.set_defaults(run=_bench)
    bench.add_argument("--output", type=Path, metavar="DIR")

    check = commands.add_parser("selfcheck", help="what each isolation tier of this machine really stops")
    check.set_defaults(run=_selfcheck)
    check.add_argument("tiers", nargs="*", type=_tier, metavar="TIER", help="only these (default: all)")
    check.add_argument("--markdown", action="store_true", help="print the manual's table of promises instead")
    return parser


def _add_what_counts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", nargs="+", default=[], metavar="EXERCISE", help="the exercises that count")
    parser.add_argument("--points", type=Path, metavar="FILE.csv", help="other points: lines EXERCISE,POINTS")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a whole number, at least 1")
    return int(text)


def _tier(text: str) -> str:
    if text not in TIERS:
        raise argparse.ArgumentTypeError(f"choose from {', '.join(TIERS)}")
    return text


def _derive(given: argparse.Namespace) -> int:
    from graders import ROOT

    gc.disable()  # while libraries are loaded, whose objects stay: to look through them again and again takes a second
    from graders.authoring.derive import derive

    gc.freeze()
    gc.enable()

    changed = derive(ROOT, given.check)
    for path in changed:
        print(f"{'out of date' if given.check else 'wrote'}  {path}")
    if given.check and changed:
        print("run `python -m graders derive`")
    return int(given.check and bool(changed))


def _grade(given: argparse.Namespace) -> int:
    from graders.cohort import grading
    from graders.errors import Problem, Stopped
    from graders.report import handed_back, leaderboard
    from graders.report.of_class import page
    from graders.report.table import write_csv
    from graders.report.terminal import Screen
    from graders.report.written import Written

    if given.require_tier and given.scheduler:
        raise Problem("--require-tier is about this machine; for others set GRADERS_REQUIRE_TIER where they run")
    if given.require_tier:
        from graders.collecting.processes import refuse_below

        refuse_below(given.require_tier)
    try:
        with Screen() as screen:
            only, due = tuple(given.only), tuple(given.due)
            options = grading.Options(
                given.layout, given.pattern, given.roster, only, given.points, due, given.late_penalty
            )
            verdicts = grading.grade(
                given.paths, given.output, given.seed, given.workers, given.scheduler,
                screen.each, options, screen.gathered, screen.note, screen.pace.add,
            )  # fmt: skip
        write_csv(verdicts, given.output / "grades.csv")
        leaderboard.write(verdicts, given.output, given.pseudonyms)
        written = Written(given.output)
        pages = handed_back.write(verdicts, given.output, written)
        page.write(verdicts, given.output, screen.cohort, pages, written)
    except OSError as error:
        told = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
        raise Stopped(f"stopped ({told}); what was finished is kept, the same command goes on from there") from None
    screen.summary(verdicts, str(given.output))
    return int(screen.lost)


def _release(given: argparse.Namespace) -> int:
    from graders.authoring.release import release

    return _say(release(given.directory))


def _course(given: argparse.Namespace) -> int:
    from graders.for_nbgrader.course import course
    from graders.lessons import all_exercises
    from graders.marks.scoring import Scheme

    scheme = Scheme(given.only, given.points, all_exercises())
    return _say(course(given.directory, only=scheme.only, points=scheme.points))


def _sample(given: argparse.Namespace) -> int:
    from graders.bench.samples import sample

    return _say([sample(given.directory, given.students, given.lessons, given.seed)])


def _explain(given: argparse.Namespace) -> int:
    from graders.followup.explain import explain

    return _say(f"{text}\n" for text in explain(given.directory, given.student, given.exercise, given.places))


def _views(given: argparse.Namespace) -> int:
    from graders.followup import views

    return _say(views.write(given.directory, given.roster))


def _forget(given: argparse.Namespace) -> int:
    from graders.followup.forget import forget

    return _say(forget(given.directory, given.student))


def _gradescope(given: argparse.Namespace) -> int:
    from graders.followup.autograder import autograder

    return _say(autograder(given.directory))


def _judge(given: argparse.Namespace) -> int:
    from graders.cohort.own import judge

    return judge(given.exercises, sys.stdin if given.stdin else None)


def _trust(given: argparse.Namespace) -> int:
    from graders.trust.measure import trust

    return trust(given.lessons, given.output, given.attacks)


def _bench(given: argparse.Namespace) -> int:
    from graders.bench.costs import bench

    return bench(given.output)


def _selfcheck(given: argparse.Namespace) -> int:
    from graders.trust.selfcheck import selfcheck

    return selfcheck(given.tiers, given.markdown)


def _say(lines: Iterable[str]) -> int:
    """Print what a command did, line by line as it comes; return the exit status of one that did it."""
    for line in lines:
        print(line, flush=True)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 1 something could not be done, 2 wrong usage."""
    given = _parser().parse_args(arguments)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from graders.errors import exit_status

    try:
        return exit_status(lambda: given.run(given))
    except KeyboardInterrupt:
        print("\nstopped; what was finished is kept, the same command goes on from there", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
