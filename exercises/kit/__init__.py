"""Support for the lessons: comparison, examples, toy models, tiny trained models, pictures.

Nothing is imported here, so that a lesson pays only for what it uses.
"""
