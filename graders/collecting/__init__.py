"""What did the submission answer? Asks workers, and brings back bytes that were checked; knows no expected value.

It imports `wire`, and starts `worker` as a process.
"""
