"""Is it right? Decides from the data that workers send, knows no lesson, and runs no student code.

It imports `wire`, and `worker` to start workers.
"""
