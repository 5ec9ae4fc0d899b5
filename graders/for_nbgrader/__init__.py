"""How does nbgrader use the judge? Course, bridge, feedback pages and export.

It imports `cohort`, `authoring` and `report`.
"""
