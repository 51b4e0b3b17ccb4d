"""Weights that others trained, in our layers, give what they give in their own code."""

import efficientnet_lite_pytorch as shipped
import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file
from torch.testing import assert_close

from dlbook import pretrained
from dlbook.data.labelled import movie_reviews
from dlbook.data.store import fetch
from dlbook.efficientnet import scale_image
from dlbook.masks import padding_mask
from dlbook.pretrained import embed, load_efficientnet, load_minilm
from dlbook.transformer import SentenceEncoder
from tests.helpers.references import reference

CONFIG = transformers.BertConfig(
    vocab_size=30_522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
)


@pytest.fixture(scope="module")
def minilm():
    return load_minilm()


@pytest.fixture(scope="module")
def theirs():
    """The reference implementation of BERT, with the same file of weights."""
    model = transformers.BertModel(CONFIG).eval()
    weights = load_file(fetch("minilm") / "model.safetensors")
    missing = model.load_state_dict(weights, strict=False)
    assert not missing.missing_keys and missing.unexpected_keys in ([], ["embeddings.position_ids"])
    return model


def mean_of(model, tokens, pad):
    """Sentence-BERT's pooling, as its paper has it: the mean over real tokens, then norm 1."""
    real = (tokens != pad).float()
    x = model(tokens, attention_mask=real).last_hidden_state
    mean = (x * real[:, :, None]).sum(1) / real.sum(1, keepdim=True)
    return mean / mean.norm(dim=1, keepdim=True)


@reference("dlbook.pretrained.load_minilm", to="transformers.BertModel")
@reference("dlbook.pretrained.embed", to="transformers.BertModel")
def test_two_hundred_texts_as_in_transformers(minilm, theirs):
    model, tokenizer = minilm
    texts = [text[:120] for text in movie_reviews().train.texts[:195]]
    texts += ["", "a", "[CLS] is plain text", "naïve café 漢字 🙂", "word " * 600]
    reference_tokenizer = tokenizers.BertWordPieceTokenizer(str(fetch("minilm") / "vocab.txt"), lowercase=True)
    reference_tokenizer.enable_truncation(256)
    expected = []
    for text in texts:
        split = reference_tokenizer.encode(text)
        if "[" not in text:  # there a name of a special piece is that piece
            assert tokenizer.encode(text, 256) == split.ids
        with torch.no_grad():
            expected.append(mean_of(theirs, torch.tensor([tokenizer.encode(text, 256)]), tokenizer.pad)[0])
    found = embed(model, tokenizer, texts)
    assert_close(found, torch.stack(expected), atol=2e-6, rtol=1e-5)
    assert_close(found.norm(dim=1), torch.ones(200))


@reference("dlbook.transformer.SentenceEncoder", to="transformers.BertModel")
@pytest.mark.parametrize("fused", [False, True])
def test_gradients_of_a_small_one_as_in_transformers(fused):
    small = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
    )
    theirs = transformers.BertModel(small).eval()
    ours = SentenceEncoder(50, 16, 4, 2, 512, fused=fused)
    ours.load_state_dict(pretrained._bert_state(theirs.state_dict()))
    tokens, direction = torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]]), torch.randn(2, 16)
    found, expected = ours(tokens), mean_of(theirs, tokens, 0)
    assert_close(found, expected, atol=1e-6, rtol=1e-5)
    (found * direction).sum().backward()
    (expected * direction).sum().backward()
    block, layer = ours.encoder.blocks[0], theirs.encoder.layer[0]
    for a, b in [
        (ours.embedding.tokens, theirs.embeddings.word_embeddings),
        (block.attention.query, layer.attention.self.query),
        (block.feed_forward.expand, layer.intermediate.dense),
    ]:
        assert_close(a.weight.grad, b.weight.grad, atol=1e-6, rtol=1e-4)


def test_written_out_layers_give_the_same(minilm):
    slow, tokenizer = load_minilm(fused=False)
    texts = ["The film is a delight.", "Nothing happens, twice, and then it ends as it began."]
    assert_close(embed(slow, tokenizer, texts), embed(minilm[0], tokenizer, texts), atol=1e-6, rtol=1e-5)


def test_padding_and_order_do_not_matter(minilm):
    model, tokenizer = minilm
    texts = ["short", "a somewhat longer sentence with more words", "mid size here"]
    alone = torch.cat([embed(model, tokenizer, [text]) for text in texts])
    assert_close(embed(model, tokenizer, texts, batch_size=3), alone, atol=1e-6, rtol=1e-5)
    assert_close(embed(model, tokenizer, texts, batch_size=2), alone, atol=1e-6, rtol=1e-5)
    assert embed(model, tokenizer, []).shape == (0, 384)


def test_what_a_sentence_means(minilm):
    """A sanity check that no reference shares: alike is nearer than unlike."""
    a, b, c = embed(*minilm, ["A cat sits on the mat.", "A kitten rests on a rug.", "The stock market fell."])
    assert a @ b > 0.6 > 0.2 > a @ c


def test_weights_are_counted(minilm):
    assert sum(p.numel() for p in minilm[0].parameters()) == 22_564_608  # 22.7 million with BERT's unused pooler


def test_embed_restores_the_mode():
    model, tokenizer = SentenceEncoder(30_522, 8, 2, 1, 512, dropout=0.5), load_minilm()[1]
    model.train()
    assert_close(embed(model, tokenizer, ["one text"]), embed(model, tokenizer, ["one text"]))
    assert model.training
    with pytest.raises(ValueError):
        embed(model, tokenizer, ["word " * 700], max_length=600)
    assert model.training


def test_a_text_of_padding_is_zero():
    model = SentenceEncoder(10, 8, 2, 2, 16).eval()
    found = model(torch.tensor([[0, 0, 0], [1, 2, 0]]))
    assert found[0].tolist() == [0] * 8 and found[1].norm().item() == pytest.approx(1)
    assert padding_mask(torch.tensor([[1, 2, 0]])).flatten().tolist() == [True, True, False]


def test_shapes_alone_decide():
    with torch.device("meta"):
        model, x = SentenceEncoder(10, 8, 2, 2, 16), torch.zeros(2, 5, dtype=torch.long)
    assert model(x).shape == (2, 8) and model(x).is_meta
    model(x).sum().backward()
    assert all(parameter.grad.is_meta for parameter in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    """Also of a text of padding, whose norm no small constant of float32 would save from 0 / 0."""
    model, x = SentenceEncoder(10, 8, 2, 2, 16).eval(), torch.tensor([[0, 0, 0], [1, 2, 0]])
    expected = model(x)
    found = model.to(dtype)(x)
    assert found.dtype == dtype and found[0].tolist() == [0] * 8
    assert_close(found.float(), expected, atol=0.05, rtol=0.05)


def test_gradients_reach_every_weight():
    model = SentenceEncoder(10, 8, 2, 2, 16)
    (model(torch.tensor([[1, 2, 3]])) * torch.randn(8)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0 or name.endswith("key.bias"), name


@reference("dlbook.pretrained.load_efficientnet", to="efficientnet_lite_pytorch.EfficientNet")
def test_imagenet_weights_as_in_the_code_that_ships_with_them():
    ours = load_efficientnet()
    theirs = shipped.EfficientNet.from_name("efficientnet-lite0").eval()
    path = fetch("efficientnet-lite0") / "efficientnet-lite0-57934424.pth"
    theirs.load_state_dict(torch.load(path, weights_only=True))
    x = scale_image(torch.rand(4, 3, 224, 224))
    with torch.no_grad():
        assert_close(ours(x), theirs(x))
    assert sum(p.numel() for p in ours.parameters()) == 4_652_008 and not ours.training


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        (("one text",), TypeError, "texts"),
        ((["a"], 1), ValueError, "max_length must be at least 2: got 1"),
        ((["a"], 256, 0), ValueError, "batch_size must be at least 1: got 0"),
    ],
)
def test_errors(unchecked, minilm, arguments, error, words):
    with pytest.raises(error, match=words):
        embed(*minilm, *arguments)


@pytest.mark.parametrize("layer", ["positions", "block"])
def test_a_wrong_file_is_not_taken(minilm, layer):
    """What is missing or of another shape is named by PyTorch; nothing stays at its random values."""
    weights = load_file(fetch("minilm") / "model.safetensors")
    if layer == "block":
        weights = {name: w for name, w in weights.items() if ".layer.5." not in name}
    else:
        weights["embeddings.position_embeddings.weight"] = torch.zeros(256, 384)
    with pytest.raises(RuntimeError, match="blocks.5|embedding.positions"):
        SentenceEncoder(30_522, 384, 12, 6, 512).load_state_dict(pretrained._bert_state(weights))
