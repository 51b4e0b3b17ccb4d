"""Metrics: how good predictions are, and how far chance moves them."""
