"""The judge: student code runs in a worker process, verdicts are computed here from the data it sends back."""
