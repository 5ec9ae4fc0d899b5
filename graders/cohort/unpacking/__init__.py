"""What was handed in: one file, whether it lies in a folder or in an archive, and how it is read within budgets."""
