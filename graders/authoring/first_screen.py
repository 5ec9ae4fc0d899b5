"""The first screen of README.md as a picture: `python -m graders.authoring.first_screen`, where no exercise is begun."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from graders import ROOT

PLACE = ROOT / "exercises" / "first_screen.svg"
COMMAND = "pytest exercises/"
WIDTH = 80


def draw(place: Path = PLACE) -> str:
    """Run the students' command, write what it shows as an SVG, and return what to tell."""
    environment = os.environ | {"COLUMNS": str(WIDTH), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    command = [sys.executable, "-m", *COMMAND.split()]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8")
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {COMMAND}"))
    console.print(Text.from_ansi(ran.stdout.rstrip()))
    picture = console.export_svg(title=COMMAND, unique_id="first-screen")
    picture = re.sub(r"@font-face\s*{.*?}\s*", "", picture, flags=re.DOTALL)  # nothing is fetched to look at it
    place.write_text(picture, encoding="utf-8")
    return f"wrote {place.relative_to(ROOT)}"


if __name__ == "__main__":
    print(draw())
