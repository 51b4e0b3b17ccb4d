"""Models for tests: weights of which none is zero, and a few steps of training."""

import torch
from torch import nn


def fill(model):
    """Make a model float64, with every trained parameter drawn anew: none is zero or one."""
    torch.manual_seed(0)
    for parameter in model.double().parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.5)
    return model


def train_steps(optimizer, loss, steps):
    """Take steps down the gradient of a loss, which is a function without arguments; return its last value."""
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
    return value.item()
