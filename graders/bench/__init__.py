"""What does grading cost, against its floor and against stock nbgrader?

It may import every room.
"""
