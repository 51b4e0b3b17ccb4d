"""Metrics: how good predictions are, and how uncertain that is."""
