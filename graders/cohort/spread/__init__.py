"""Where submissions are judged: on processes of this machine, or on the machines of a Dask scheduler."""
