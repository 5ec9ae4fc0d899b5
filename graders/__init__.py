"""How answers are judged: hidden tests, slips, the judge, and the views of its verdicts."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
