"""The lock on the names of the package: planted faults of each kind, and what is right."""

import pytest

from authoring.locks.names import documented, faults

RIGHT = '''\
"""Layers."""


class Dense:
    """Apply a dense layer.

    Args:
        inputs, outputs: its widths.
        *others: more of them.
    """

    def __init__(self, inputs: int, outputs: int, *others: int):
        self.width = inputs

    def forward(self, x):
        """Return the pre-activations.

        Args:
            x (Tensor): a batch.

        Raises:
            ValueError: x is empty.
        """
        seen = x
        return seen

    def _hidden(self, x): ...


def _helper(size, scores_of): ...
'''


@pytest.fixture
def lock(tmp_path):
    """Return a function that writes a module and returns the faults of its package."""

    def write(text, name="layers.py"):
        path = tmp_path / "dlbook" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return faults(tmp_path)

    return write


def function(line, argument=""):
    """Return a function with a docstring in the right form."""
    name = argument.partition(":")[0]
    return f'def load({argument}):\n    """Return it.\n\n    Args:\n        {name}: it.\n    """\n    {line}\n'


def test_a_right_module(lock):
    assert lock(RIGHT) == []


@pytest.mark.parametrize(
    "line, name, instead",
    [
        ("pictures = 1", "pictures", "image"),
        ("check_pictures = 1", "check_pictures", "image"),
        ("for picture in x: pass", "picture", "image"),
        ("self.price = 1", "price", "strength"),
        ("import dlbook.conv as machine", "machine", "svm"),
        ("def keep_nucleus(): ...", "keep_nucleus", "top_p"),
        ("class Lexicon: ...", "Lexicon", "IBMModel1"),
        ("said, was = 1, 2", "said", "confidence, outcome"),
        ("self.past = 1", "past", "project_query, kv, kv_cache, offset"),
        ("def seen(): ...", "seen", "project_query, kv, kv_cache, offset"),
    ],
)
def test_planted_name(lock, line, name, instead):
    first, *_ = lock(function(line))
    assert first == f"dlbook/layers.py, line 7: `{name}` must be named in the field's words: {instead}"


@pytest.mark.parametrize("line", ["start, steps, scores, rate, share = x", "seen = set()", "held_out = x", "size = 3"])
def test_a_variable_may_have_the_name(lock, line):
    assert lock(function(line)) == []


@pytest.mark.parametrize(
    "argument, instead",
    [
        ("scores", "the argument `scores` must be named in the field's words: logits"),
        ("start: int", "the argument `start` must be named in the field's words: init, offset, first"),
        ("steps: int", "the argument `steps` must be named in the field's words: length, max_length"),
        ("rate: float", "the argument `rate` must be named in the field's words: lr, p"),
        ("share: float", "the argument `share` must be named in the field's words: test_fraction, lam"),
        ("held_out: float", "`held_out` must be named in the field's words: test_fraction, test_size"),
        ("size: int", "the argument `size`, a count, must be batch_size"),
        ("vocabulary: int", "the argument `vocabulary`, a count, must be vocab_size"),
    ],
)
def test_planted_argument(lock, argument, instead):
    assert lock(function("return 1", argument)) == [f"dlbook/layers.py, line 1: {instead}"]


@pytest.mark.parametrize(
    "name, argument",
    [
        ("metrics/ranking.py", "scores"),
        ("training/optim.py", "steps: int"),
        ("layers.py", "vocabulary: Vocabulary"),
        ("layers.py", "batch: Tensor"),
    ],
)
def test_where_the_argument_is_right(lock, name, argument):
    assert lock(function("return 1", argument), name) == []


def test_planted_method(lock):
    (fault,) = lock('class Scaler:\n    """Scale."""\n\n    def restore(self):\n        """Return it."""\n')
    assert fault == "dlbook/layers.py, line 4: the method `restore` must be inverse_transform"


@pytest.mark.parametrize(
    "first", ["Give the weights.", "Say how many.", "Tell it.", "Put it there.", "Make the layers."]
)
def test_planted_docstring(lock, first):
    for text in (f'def _load():\n    """{first}"""\n', f'class A:\n    """{first}"""\n'):
        (fault,) = lock(text)
        assert fault.startswith("dlbook/layers.py, line 1: the docstring of ") and fault.endswith(f"got {first!r}")
    assert lock('def load():\n    """Make a tree."""\n') == []


def test_planted_errors(lock):
    (fault,) = lock('def load():\n    """Return it.\n\n    Errors: ValueError if there is none.\n    """\n')
    assert fault == "dlbook/layers.py, line 1: the docstring of load must have Raises: in place of Errors:"


def test_planted_argument_without_a_word(lock):
    assert lock(RIGHT.replace("inputs, outputs: its", "inputs: its")) == [
        "dlbook/layers.py, line 12: the docstring of __init__ must explain under Args: outputs"
    ]
    assert lock(RIGHT.replace("x (Tensor): a batch.", "y: a batch.")) == [
        "dlbook/layers.py, line 15: the docstring of forward must explain under Args: x"
    ]
    assert lock("def load(x, *, y=1, **z): ...\n") == [
        "dlbook/layers.py, line 1: the docstring of load must explain under Args: x, y, z"
    ]


def test_what_is_not_for_readers_needs_no_words(lock):
    assert lock("class _A:\n    def load(self, x): ...\n") == []
    assert lock("def load(x): ...\n", "_check.py") == []


def test_planted_long_line(lock):
    assert lock(RIGHT + f"# {'x' * 87}\n") == ["dlbook/layers.py, line 31: must have at most 88 columns: got 89"]


def test_arguments_in_a_docstring():
    listed = "Args:\n    a: first,\n        b: not one.\n    c, d: more.\n    **e: others.\n"
    text = f"Return it.\n\n{listed}\nReturns:\n    f: no."
    assert documented(text) == {"a", "c", "d", "e"}


def test_a_package_without_definitions(tmp_path):
    assert faults(tmp_path) == ["dlbook: the lock found no definition in it: mend the lock"]
