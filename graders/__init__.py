"""How answers are judged: hidden tests, slips, the judge, and the views of its verdicts."""
