"""What helps a student besides the check: hints, the list of exercises, watching, putting back a stub, handing in.

`exercises/conftest.py` gives pytest the options; each module here does the work of one and knows nothing of pytest.
"""
