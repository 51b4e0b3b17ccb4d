"""Settings for all unit tests: the same examples on every run, and no deadlines, which a busy machine would miss."""

from hypothesis import settings

settings.register_profile("book", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("book")
