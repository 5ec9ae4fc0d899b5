"""`nbgrader zip_collect` on the downloads of learning platforms: the same people and files as `python -m graders grade` sees.

nbgrader copies an archive's files to `extracted/` and then asks of each whose it is, by one regular expression. Here the first
step (`Extractor`) already sorts by student, and the second (`Collector`) reads that off the folder.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbgrader.plugins.zipcollect import ExtractorPlugin, FileNameCollectorPlugin
from traitlets import Unicode

from graders import lessons
from graders.cohort.choosing import Chooser
from graders.cohort.layouts import Recogniser, counts
from graders.cohort.people import Cohort, Person, gather
from graders.cohort.roster import Roster
from graders.cohort.spread.reading import Reader
from graders.cohort.submissions import File, Submission, unpack
from graders.cohort.unpacking.entries import file_entry


class Extractor(ExtractorPlugin):
    """Writes what counts of each student to a folder of the student's; whoever handed in nothing of use has what there is."""

    layout = Unicode("", help="The layout of the downloads, where guessing is not enough.").tag(config=True)
    pattern = Unicode("", help="A regular expression for the beginnings of paths (see --pattern in the manual).").tag(
        config=True
    )
    roster = Unicode("", help="The class list, a CSV file with a column id.").tag(config=True)

    @property
    def lesson(self) -> str:
        """The assignment that is collected."""
        return self.parent.coursedir.assignment_id

    def extract(self, archive_path: str, extracted_path: str) -> None:
        """Sort what stands in `archive_path` by student into `extracted_path`."""
        lesson = self.lesson
        archive, extracted = Path(archive_path), Path(extracted_path)
        there = sorted(path for path in archive.iterdir() if counts(file_entry(path)) or path.is_dir())
        paths = [archive] if any(path.is_dir() for path in there) else there
        known = dict.fromkeys([*lessons.names(), lesson])
        recogniser = Recogniser(known, self.layout or None, self.pattern or None)
        cohort = gather(paths, recogniser, Roster(Path(self.roster)) if self.roster else None)
        reader = Reader((str(archive.resolve()),))
        try:
            chooser = Chooser(reader.read, known)
            for person in cohort.people:
                self._write(person, list(chooser.choose(person)), extracted, lesson)
        finally:
            reader.close()
        self._tell(cohort)

    def _write(self, person: Person, chosen: list[Submission], extracted: Path, lesson: str) -> None:
        mine = [one for one in chosen if one.lesson == lesson and one.files and not one.problem]
        for one in mine:
            self._copy(one.student, extracted, one.helpers | _named(one.files, lesson) | _stamp(one))
            if "collision" in one.about:
                self.log.error("needs a look: %s", one.about["collision"])
        if mine:
            return
        files: dict[str, bytes] = {}
        for source in person.sources:
            handed = unpack(source)
            files |= {_last(one.path): one.data for one in handed.candidates}
            files |= dict.fromkeys(map(_last, handed.paths), b"")
        if len(files) == 1 and next(iter(files)).lower().endswith(".ipynb"):
            files = {f"{lesson}.ipynb": next(iter(files.values()))}
        self._copy(person.student, extracted, files or {"nothing.txt": b""})
        self.log.warning("%s: %s", person.student, next((one.problem for one in chosen if one.problem), f"no {lesson}"))

    def _copy(self, student: str, extracted: Path, files: dict[str, bytes]) -> None:
        folder = extracted / _folder(student)
        for name, data in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def _tell(self, cohort: Cohort) -> None:
        for note in cohort.notes:
            self.log.info(note)
        for line in [*cohort.lost, *cohort.look]:
            self.log.error("needs a look: %s", line)
        if cohort.missing:
            self.log.warning("handed in nothing: %s", ", ".join(cohort.missing))


class Collector(FileNameCollectorPlugin):
    """Reads the student off the folder that `Extractor` made."""

    def collect(self, submitted_file: str) -> dict[str, Any] | None:
        """Return whose a file in `extracted/` is, and what it is called in the submission."""
        extracted = self.parent._format_collect_path(self.parent.extracted_directory)
        student, *parts = Path(submitted_file).relative_to(extracted).parts
        return {"student_id": student, "file_id": "/".join(parts)} if parts else None


def _folder(student: str) -> str:
    """Return the name of a student's folder: the student's, as far as a folder can be called so."""
    name = student.replace("/", "-").replace("\0", "-")
    return f"_{name}" if name.startswith(".") else name


def _stamp(one: Submission) -> dict[str, bytes]:
    """Return the file by which nbgrader knows when something was handed in, for its rule on what is late."""
    told = one.about.get("handed_in")
    if not told:
        return {}
    return {"timestamp.txt": datetime.fromisoformat(told).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC").encode()}


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _named(files: list[File], lesson: str) -> dict[str, bytes]:
    """Return the files that count by their names in the course: nbgrader knows a notebook by the assignment's name."""
    made: dict[str, bytes] = {}
    for file in sorted(files, key=lambda file: _last(file.path).lower().partition(".")[0] != lesson.lower()):
        name = f"{lesson}{'.ipynb' if file.notebook else '.py'}"
        made[name if name not in made else f"{len(made)}-{_last(file.path)}"] = file.data
    return made
