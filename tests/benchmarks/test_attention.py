"""Committed results on attention: the memory is still what a short run counts, and the fused function needs less."""

import pytest

from benchmarks import attention, store

ROWS = [(name, tokens) for tokens in attention.PAIRS for name in ("all", "causal")]


@pytest.mark.parametrize("name, tokens", ROWS[:4])
def test_a_short_row_again(name, tokens):
    stored = store.load("attention")[f"{name}_{tokens}"]["kept"]
    again = {kind: attention.kept(kind.replace("_", " "), name == "causal", tokens) for kind in stored}
    assert {kind: round(count / 2**20, 3) for kind, count in again.items()} == stored
    weights = 4 * attention.HEADS * tokens**2
    assert again["by_hand"] >= weights and again["fused"] < weights


@pytest.mark.parametrize("name, tokens", ROWS)
def test_the_fused_function_needs_less_memory(name, tokens):
    stored = store.load("attention")[f"{name}_{tokens}"]
    for count in ("kept", "peak"):
        assert stored[count]["fused"] < stored[count]["by_hand"]


def test_growth_of_a_process_is_what_must_be_held():
    weights = 4 * attention.HEADS * 512**2
    assert 2 * weights < attention.peak("by hand", False, 512) < 6 * weights


def test_both_kinds_compute_the_same():
    for causal in (False, True):
        three = attention.inputs(64)
        hand, fused = (attention.forward(kind, causal, 64)(*three) for kind in ("by hand", "fused"))
        assert (hand - fused).abs().max().item() < 1e-5
