"""The equations of the chapter on text classification, and what its benchmark does to texts."""

from functools import cache

import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from torch.testing import assert_close

from benchmarks import classification
from dlbook.masks import padding_mask
from dlbook.text.tokenize import Vocabulary
from dlbook.transformer import TextClassifier
from tests.helpers.equations import executed
from tests.helpers.references import random, tensor


@executed("3.4.5a", of="benchmarks.classification.fit_bag")
def test_tf_idf_is_that_of_scikit_learn(formula):
    texts = [["a", "b", "a"], ["b", "c"], ["b", "b", "d", "a"], ["c", "c", "c"]]
    bag = TfidfVectorizer(analyzer=lambda text: text)
    expected = bag.fit_transform(texts).toarray()
    counts = tensor([[text.count(word) for word in "abcd"] for text in texts])
    for c, row in zip(counts, expected, strict=True):
        found = formula({"c": c, "N": 4, "n": (counts > 0).sum(0)}, {"w": 4, "v": 4})
        assert_close(tensor(found["x"]), tensor(row))
        assert_close(tensor(found["i"]), tensor(bag.idf_))


@cache
def classified():
    """Return tokens, what the encoder makes of them, a classifier's scores, and its last layer."""
    model = TextClassifier(7, 3, 6, 2, 1, 9).double()
    model.output.bias.data = random(3)
    tokens = torch.tensor([[3, 1, 5, 0, 0], [2, 2, 4, 6, 0]])
    with torch.no_grad():
        return tokens, model.encoder(model.embedding(tokens), padding_mask(tokens)), model(tokens), model.output


@executed("3.4.5b", of="dlbook.transformer.TextClassifier")
def test_the_mean_over_real_tokens(formula):
    tokens, x, scores, output = classified()
    for row in range(2):
        real = tokens[row] != Vocabulary.pad
        names = {"b": output.bias, "W": output.weight, "m": real, "x": x[row]}
        found = formula(names, {"k": 3, "c": 6, "t": 5})
        assert_close(tensor(found["s"]), scores[row])
        assert found["n"] == real.sum()


# --- the benchmark ----------------------------------------------------------------------------------------------------


def test_shuffling_keeps_the_tokens():
    texts = [["a", "b", "c", "d"], ["e"]]
    assert [sorted(text) for text in classification.shuffled(texts)] == texts
