"""Is it right? Records what is right, and decides on the bytes that were collected; knows no lesson, runs no student code.

It imports `collecting`, `wire`, and `worker` to record the reference as workers answer.
"""
