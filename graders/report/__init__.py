"""Views of the verdicts: tables for people and for learning platforms. None of them holds a fact of its own."""
