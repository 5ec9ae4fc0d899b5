"""Is an example right? Examples, closeness of values, and how results are shown; imports nothing of the kit's toys and models."""
