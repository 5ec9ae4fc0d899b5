"""What only the process that runs a function can see: `student.probe(arguments_after, "downcast", x, dtype)`.

A probe calls the function with the arguments and returns data. It holds no expected value. A module per lesson.
"""
