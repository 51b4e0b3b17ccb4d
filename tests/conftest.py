"""Settings for all unit tests: one thread, the same examples on every run, no deadlines."""

import os

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: the number of threads decides the last bits
settings.register_profile("book", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("book")
