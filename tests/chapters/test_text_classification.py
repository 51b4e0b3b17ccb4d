"""The equations of the chapter on text classification, and what its benchmark does to texts."""

import math

import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from torch.testing import assert_close

from benchmarks import classification
from dlbook.masks import padding_mask
from dlbook.transformer import TextClassifier
from tests.helpers.equations import equation
from tests.helpers.references import random

# --- 3.4.5a: x_w = c_w i_w / sqrt(sum_v (c_v i_v)^2) with i_w = 1 + ln((1 + N) / (1 + n_w)) ---------------------------


def tf_idf(counts, rarity=lambda texts, containing: 1 + math.log((1 + texts) / (1 + containing)), power=2):
    rows = []
    for text in counts:
        parts = [
            text[w] * rarity(len(counts), sum(other[w] > 0 for other in counts)) for w in range(len(text))
        ]  # c_w i_w
        rows.append([part / sum(other**power for other in parts) ** (1 / power) for part in parts])
    return rows


def without_the_one(counts):
    return tf_idf(counts, lambda texts, containing: math.log((1 + texts) / (1 + containing)))


def textbook(counts):
    return tf_idf(counts, lambda texts, containing: 1 + math.log(texts / containing))


def to_sum_one(counts):
    return tf_idf(counts, power=1)


@equation("3.4.5a", "benchmarks.classification.fit_bag", tf_idf, without_the_one, textbook, to_sum_one)
def test_tf_idf_is_that_of_scikit_learn(formula):
    texts = [["a", "b", "a"], ["b", "c"], ["b", "b", "d", "a"], ["c", "c", "c"]]
    counts = [[text.count(word) for word in "abcd"] for text in texts]
    found = TfidfVectorizer(analyzer=lambda text: text).fit_transform(texts).toarray()
    assert_close(torch.tensor(formula(counts)).double(), torch.from_numpy(found))


# --- 3.4.5b: s_k = b_k + sum_c W_kc (1/n) sum_t m_t x_tc, n = sum_t m_t -----------------------------------------------


def mean_over_real(x, m, weight, bias, share=lambda m: sum(m), chosen=lambda m, t: m[t]):
    scores = []
    for k in range(len(bias)):
        score = bias[k]
        for c in range(x.shape[1]):
            score = score + weight[k, c] * sum(chosen(m, t) * x[t, c] for t in range(len(x))) / share(m)
        scores.append(score)
    return torch.stack(scores)


def mean_over_all(x, m, weight, bias):
    return mean_over_real(x, m, weight, bias, share=len, chosen=lambda m, t: 1)


def real_over_all(x, m, weight, bias):
    return mean_over_real(x, m, weight, bias, share=len)


def sum_over_real(x, m, weight, bias):
    return mean_over_real(x, m, weight, bias, share=lambda m: 1)


@equation("3.4.5b", "dlbook.transformer.TextClassifier", mean_over_real, mean_over_all, real_over_all, sum_over_real)
def test_the_mean_over_real_tokens(formula):
    torch.manual_seed(0)
    model = TextClassifier(7, 3, 6, 2, 1, 9).double()
    model.output.bias.data = random(3)
    tokens = torch.tensor([[3, 1, 5, 0, 0], [2, 2, 4, 6, 0]])
    with torch.no_grad():
        scores = model(tokens)
        x = model.encoder(model.embedding(tokens), padding_mask(tokens))
        for row in range(2):
            real = [float(token != 0) for token in tokens[row]]
            assert_close(formula(x[row], real, model.output.weight, model.output.bias), scores[row])


# --- the benchmark ----------------------------------------------------------------------------------------------------


def test_shuffling_keeps_the_tokens():
    texts = [["a", "b", "c", "d"], ["e"]]
    assert [sorted(text) for text in classification.shuffled(texts)] == texts
