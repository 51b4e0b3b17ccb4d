"""Committed results on compression: each kind of row measured small, and what the chapter shows."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from benchmarks import compress, store
from dlbook.data.labelled import LabelledTexts
from dlbook.data.speech import Recordings
from dlbook.data.splits import Parts
from dlbook.text.wordpiece import WordPiece
from tests.helpers.chapters import measured

SMALL = {"SEEDS": 2, "EPOCHS": 1, "FINE": 1, "RATES": (0.001, 0.003), "FINE_RATES": (0.001,), "TEMPERATURES": (2.0,)}
SMALL |= {"LSTM_RATES": (0.001,), "REPEATS": 2, "SECONDS": 0.0, "TEXTS": (12, 6), "BATCHES": (1, 2)}
CACHED = ("large", "small", "model_of", "right", "integer_file")


@pytest.fixture
def tiny(monkeypatch):
    """Let the benchmark run on a few made images, recordings and texts."""
    for name, value in SMALL.items():
        monkeypatch.setattr(compress, name, value)
    for name in CACHED:
        getattr(compress, name).cache_clear()
    generator = torch.Generator().manual_seed(0)

    def examples(count):
        y = torch.arange(count) % 10
        x = torch.rand(count, 1, 28, 28, generator=generator) / 2
        x[torch.arange(count), 0, 2 * y + 3] += 0.5
        return x, y

    parts = {"train": examples(200), "held": examples(60), "unlabelled": examples(400), "test": examples(100)}
    monkeypatch.setattr(compress, "images", lambda: parts)
    settings = {"large": 0.003, "small": 0.003, "fine": 0.001, "temperature": 2.0}
    monkeypatch.setattr(compress, "chosen", lambda: settings)
    monkeypatch.setattr(torch, "compile", lambda model, **_: model)  # needs a compiler
    yield
    for name in CACHED:
        getattr(compress, name).cache_clear()


def test_the_chapter_draws_what_is_stored():
    found = measured("book/challenges/deployment-cost", "compress")
    stored = store.load("compress")
    assert set(found["ways"]) == {*compress.WAYS, *compress.INT8}
    for way, accuracies in found["ways"].items():
        assert accuracies == stored[way]["accuracy"]
    for way, (rival, ratio, size) in found["of_cnn"].items():
        row, shape = stored[way], way.replace("label smoothing", "distilled")  # of one architecture
        whole = stored["int8"]["float bytes"] if "int8" in way else stored["large"]["bytes"]
        assert rival.startswith("large") and list(ratio) == stored["latency 1"][f"{shape} / large"]["ratio"]
        assert size == round(100 * row["bytes"] / whole, 1)
    lstm, texts = stored["lstm"], stored["minilm"]
    for name, way in (("int8", "int8"), ("half the units", "small")):
        change, ratio, size = found["of_others"]["LSTM"][name]
        expected = lstm[way]["minus large"], lstm["latency 1"][f"{way} / large"]["ratio"]
        assert (list(change), list(ratio)) == expected
        assert size == round(100 * lstm[way]["bytes"] / lstm["large"]["bytes"], 1)
    for name, way in (("int8, 7 bits", "int8"), ("int8, 8 bits", "int8, full range")):
        change, ratio, size = found["of_others"]["MiniLM"][name]
        expected = texts[way]["minus float"], texts["latency 1"][f"{way} / float"]["ratio"]
        assert (list(change), list(ratio)) == expected
        assert size == round(100 * texts[way]["bytes"] / texts["float"]["bytes"], 1)


def test_no_best_setting_is_at_an_edge():
    stored = store.load("compress")
    for table in [*stored["tune"].values(), *stored["tune lstm"].values()]:
        values = list(table.values())
        assert max(values) not in (values[0], values[-1])


def test_images_that_choose_are_not_trained_on():
    parts = compress.parts(torch.randperm(60_000))
    assert {name: len(rows) for name, rows in parts.items()} == {"train": 5_000, "held": 5_000, "unlabelled": 45_000}
    assert len(torch.cat([*parts.values()]).unique()) == 55_000


def test_settings_are_chosen(tiny):
    found = compress.tune()
    assert set(found) == {"large", "small", "temperature", "fine"}
    assert all(0 <= value <= 1 for table in found.values() for value in table.values())


@pytest.mark.parametrize("way", list(compress.WAYS))
def test_each_way_of_images(tiny, way):
    found = compress.image_row(way)
    assert len(found["accuracy"]) == 2
    low, high, middle = found["minus large"]
    assert low <= middle <= high
    assert found["bytes"] > 4 * found["weights"]


def test_what_the_ways_are(tiny):
    assert sum(p.numel() for p in compress.model_of("large", 0).parameters()) == 121_930
    halved, small = compress.model_of("halved, fine-tuned", 0), compress.model_of("small", 0)
    shapes = [[tuple(p.shape) for p in model.parameters()] for model in (halved, small)]
    assert sorted(shapes[0]) == sorted(shapes[1])
    pruned = compress.model_of("pruned, fine-tuned", 0)
    weights = torch.cat([p.flatten() for p in pruned.parameters() if p.ndim > 1])
    assert (weights == 0).double().mean().item() == pytest.approx(compress.PRUNED, abs=0.001)
    coarse = compress.model_of("2 bits, trained", 0)
    assert parametrize.is_parametrized(coarse.conv1)
    assert all(len(row.unique()) <= 3 for row in coarse.conv2.weight.flatten(1))
    state = compress.state_of(coarse)
    assert len(state) == 8 and state["conv2.weight"].equal(coarse.conv2.weight)
    x = compress.images()["test"][0]
    fast = compress.model_of("halved", 0)
    assert fast(x).shape == (100, 10) and isinstance(fast, nn.Module)


def test_int8_of_images_and_latencies(tiny):
    for way in compress.INT8:
        found = compress.integer_row(way)
        assert found["bytes"] < found["float bytes"] and len(found["accuracy"]) == 2
    x = compress.images()["test"][0]
    path = compress.folder() / "large-0.onnx"
    in_runtime = torch.from_numpy(compress.session(path).run(None, {"images": x[:7].contiguous().numpy()})[0])
    assert (in_runtime - compress.answers(compress.model_of("large", 0), "test")[:7]).abs().max() < 1e-4
    assert (compress.integer_answers("int8", 0)[:7] - in_runtime).abs().max() < 0.5
    for size in (1, 2):
        for found in compress.image_latency(size).values():
            low, high, middle = found["ratio"]
            assert 0 <= low <= middle <= high and min(found["first"]) > 0


def test_a_ratio_of_latencies(monkeypatch):
    monkeypatch.setattr(compress, "REPEATS", 4)
    monkeypatch.setattr(compress, "SECONDS", 0.0)
    x = torch.rand(400, 400)
    found = compress.ratio(lambda: [x @ x for _ in range(20)], lambda: x @ x)
    low, high, middle = found["ratio"]
    assert low <= middle <= high and min(found["first"]) > max(found["second"])
    assert len(found["first"]) == len(found["second"]) == 4


def test_an_lstm(tiny, monkeypatch):
    def made(count):
        lengths = torch.randint(3, 30, (count,))
        return Recordings(torch.randn(count, 30, 13), lengths, torch.arange(count) % 10)

    data = {"train": made(60), "held": made(20), "test": made(30)}
    monkeypatch.setattr(compress, "recordings", lambda: data)
    tuned = compress.tune_listener()
    assert set(tuned) == {"128", "64"}
    monkeypatch.setattr(compress, "fresh", lambda script: {"tune lstm": tuned})
    found = compress.speech_row()
    assert found["int8"]["bytes"] < 0.5 * found["large"]["bytes"]
    assert abs(found["int8"]["minus large"][2]) < 20 and set(found["latency 2"]) == set(found["latency 1"])


def test_an_lstm_is_trained(monkeypatch):
    lengths = torch.full((60,), 5)
    labels = torch.arange(60) % 2
    features = torch.randn(60, 5, 13) + 2 * labels[:, None, None]
    monkeypatch.setattr(compress, "recordings", lambda: {"train": Recordings(features, lengths, labels)})
    model = compress.train_listener(8, 0.03, 0, epochs=25)
    assert (model(features, lengths).argmax(1) == labels).double().mean() > 0.9


class Encoder(nn.Module):
    """A text becomes the mean of its tokens, through one layer."""

    def __init__(self, vocab_size):
        super().__init__()
        self.tokens, self.dense = nn.Embedding(vocab_size, 32), nn.Linear(32, 384)

    def forward(self, tokens):
        return nn.functional.normalize(self.dense(self.tokens(tokens).mean(1)), dim=1)


def test_a_text_encoder(tiny, monkeypatch):
    tokenizer = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "film", "a"])
    torch.manual_seed(0)
    encoder = Encoder(len(tokenizer)).eval()
    monkeypatch.setattr(compress, "load_minilm", lambda: (encoder, tokenizer))
    texts = [f"a {word} film" for word in ("good", "bad")] * 10
    part = LabelledTexts(texts, torch.arange(20) % 2, ["bad", "good"])
    monkeypatch.setattr(compress, "movie_reviews", lambda site: Parts(part, part, part))
    found = compress.text_row()
    assert found["gap to torch"] < 1e-4
    assert found["int8"]["cosine"][1] > 0.95 and found["int8"]["bytes"] < found["float"]["bytes"]
    assert sum(found["int8"]["right"]) == compress.TEXTS[1] and sum(found["float"]["right"][1:3]) == 0
    assert set(found["latency 1"]) == set(found["latency 2"])
