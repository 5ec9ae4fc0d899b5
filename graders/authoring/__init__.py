"""How do lessons in `solutions/` become what students get: stubs, notebooks, the kit?

It imports `lessons` and `judge`, to know checks, points and slips.
"""
