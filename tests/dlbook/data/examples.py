"""Small data for these tests."""

import math

import numpy as np
import torch

from dlbook.data.series import Series
from dlbook.data.tables import Table


def of(parts):
    """Return the three parts as a list."""
    return [parts.train, parts.validation, parts.test]


def planted(folder, content, name="some.txt"):
    """Write a file into a folder, and return its path."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def table(numbers=(), categories=(), labels=None, levels=("a", "b", "c"), classes=("no", "yes")):
    """Make a table of columns: numbers, with None where one is missing, and categories, with -1."""
    rows = len([*numbers, *categories][0])
    return Table(
        torch.tensor([[np.nan if x is None else x for x in column] for column in numbers]).double().reshape(-1, rows).T,
        torch.tensor([list(column) for column in categories]).long().reshape(-1, rows).T,
        torch.tensor([0] * rows if labels is None else labels),
        [f"x{n}" for n in range(len(numbers))],
        {f"c{n}": list(levels) for n in range(len(categories))},
        list(classes),
    )


def hours(count, start="2013-01-01T00"):
    return np.datetime64(start, "h") + np.arange(count)


def series(*columns, start="2013-01-01T00"):
    """Make a series from columns of numbers, named a, b, c …; None is a missing value."""
    values = [[math.nan if value is None else float(value) for value in column] for column in columns]
    return Series(hours(len(columns[0]), start), torch.tensor(values).T, tuple("abcdef"[: len(columns)]))
