"""What is a verdict worth? Points, overrides, late penalties, and which marks moved.

Imports no room above it.
"""
