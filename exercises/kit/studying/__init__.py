"""What helps a student besides the check: hints, the list of exercises, watching, putting back a stub, handing in.

`commands` gives pytest the options; each other module does the work of one and knows nothing of pytest.
"""
