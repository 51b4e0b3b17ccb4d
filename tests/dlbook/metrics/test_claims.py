"""The check of claims in a run: it fails on the reference device for all that is not True, and shows them elsewhere."""

import numpy as np
import pytest
import torch

from dlbook.metrics._claims import check_claims


def test_on_the_reference_device(monkeypatch, capsys):
    monkeypatch.setenv("DLBOOK_DEVICE", "cpu")
    check_claims(("It helps", True))
    check_claims(("It helps", True), ("It is sooner", True))
    assert capsys.readouterr().out == "1 claim holds in this run.\n2 claims hold in this run.\n"


@pytest.mark.parametrize("value", [False, 1, None, np.True_, torch.tensor(True), 0.3, "yes"])
def test_what_is_not_true_itself_is_named(monkeypatch, value):
    monkeypatch.setenv("DLBOOK_DEVICE", "cpu")
    with pytest.raises(AssertionError) as error:
        check_claims(("It is sooner", True), ("It helps", value))
    rule = "claims must hold in the run; these do not:"
    assert str(error.value) == f"{rule}\n  “It helps”: must be True, in this run {value!r}"


def test_elsewhere_each_is_shown(monkeypatch, capsys):
    monkeypatch.delenv("DLBOOK_DEVICE", raising=False)
    check_claims(("It helps", True), ("It is sooner", False))
    assert capsys.readouterr().out == "holds in your run: It helps\ndoes not hold in your run: It is sooner\n"
