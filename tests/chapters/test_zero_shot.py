"""What the chapter on zero-shot learning prints: logits of descriptions, InfoNCE, the harmonic mean."""

from torch.testing import assert_close

from dlbook.practice.transfer import harmonic_mean, info_nce, zero_shot_logits
from tests.helpers.equations import executed
from tests.helpers.references import random, tensor


@executed("5.3.2a", of="dlbook.practice.transfer.zero_shot_logits")
def test_probabilities_of_classes_that_are_described(formula):
    u, d = 3 * random(4), random(5, 4)
    found = formula({"u": u, "d": d, "tau": 0.3}, {"c": 5, "k": 5})
    logits = zero_shot_logits(u[None], d, 0.3)[0]
    assert_close(tensor(found["z"]), logits)
    assert_close(tensor(found["p"]), logits.softmax(0))


@executed("5.3.2b", of="dlbook.practice.transfer.info_nce")
def test_the_loss_of_pairs(formula):
    first, second = random(4, 3), random(4, 3)
    cosines = zero_shot_logits(first, second, 1.0)
    found = formula({"s": cosines, "tau": 0.5, "N": 4.0}, {"i": 4, "j": 4})
    assert_close(tensor(found["L"]), info_nce(first, second, 0.5))


@executed("5.3.2c", of="dlbook.practice.transfer.harmonic_mean")
def test_the_mean_of_seen_and_unseen(formula):
    for seen, unseen in ((0.6, 0.1), (0.2, 0.7)):
        found = formula({"A_seen": seen, "A_unseen": unseen})
        assert_close(tensor(found["H"]), tensor(harmonic_mean(seen, unseen)))
