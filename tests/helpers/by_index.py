"""Sums written out index by index, on lists of numbers, as the book's equations print them."""

import math


def sigmoid(z):
    """Compute 1 / (1 + exp(-z))."""
    return 1 / (1 + math.exp(-z))


def dot(a, b):
    """Sum a_i b_i over i."""
    return sum(a_i * b_i for a_i, b_i in zip(a, b, strict=True))


def product(matrix, vector):
    """Compute the product of a matrix and a vector: sum W_ij x_j over j, for each i."""
    return [dot(row, vector) for row in matrix]


def dense(W, x, b):
    """Compute W x + b."""
    return [z_i + b_i for z_i, b_i in zip(product(W, x), b, strict=True)]


def transposed(matrix):
    """Exchange rows and columns."""
    return [list(column) for column in zip(*matrix, strict=True)]


def softmax(scores, mask=None):
    """Divide each exp(s_i), times the mask's m_i (0 or 1) if there is one, by their sum."""
    powers = [seen * math.exp(s_i) for s_i, seen in zip(scores, mask or [1] * len(scores), strict=True)]
    return [power / sum(powers) for power in powers]
