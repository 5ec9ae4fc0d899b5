"""What runs beside student code? Cells, calls and the sandbox; no expected value is ever in here.

It imports `wire`, and nothing of `judge/`, `lessons/` or `solutions`.
"""
