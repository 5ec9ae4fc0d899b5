"""What comes after grading? A mark explained, views for platforms, a person forgotten.

Imports no room above it.
"""
