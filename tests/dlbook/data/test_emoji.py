"""Emoji: each image is that of its name, by both designers."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from dlbook.data.emoji import CATEGORIES, emoji
from dlbook.data.store import fetch
from tests.helpers.references import reference


@pytest.fixture(scope="module")
def both():
    return {designer: emoji(designer) for designer in ("google", "twitter")}


@reference("dlbook.data.emoji.emoji", to="PIL.Image.Image.crop")
@pytest.mark.parametrize("designer", ["google", "twitter"])
def test_images_are_those_of_the_sheet(both, designer):
    """Cut out and put on white one by one, and looked up by name."""
    folder, found = fetch(f"emoji-{designer}"), both[designer]
    assert emoji(designer).names == found.names
    entries = {
        entry["name"].lower(): entry for entry in json.loads((folder / "emoji.json").read_text(encoding="utf-8"))
    }
    sheet = Image.open(folder / "img" / designer / "sheets-256" / "32.png").convert("RGBA")
    for name in ("polar bear", "strawberry", "japan flag", "snowflake", "taxi"):
        entry, row = entries[name], found.names.index(name)
        left, top = 34 * entry["sheet_x"] + 1, 34 * entry["sheet_y"] + 1
        one = np.asarray(Image.Image.crop(sheet, (left, top, left + 32, top + 32))).astype(float) / 255
        on_white = one[:, :, :3] * one[:, :, 3:] + 1 - one[:, :, 3:]
        assert np.abs(found.images[row].permute(1, 2, 0).numpy() - on_white).max() < 2 / 255
        assert CATEGORIES[found.labels[row]] == entry["category"] and found.groups[row] == entry["subcategory"]


def test_rows_are_the_same_signs(both):
    google, twitter = both["google"], both["twitter"]
    assert len(google.names) == 1906 and google.names == twitter.names and google.groups == twitter.groups
    assert torch.equal(google.labels, twitter.labels) and google.images.shape == (1906, 3, 32, 32)
    assert torch.bincount(google.labels).tolist() == [169, 386, 159, 131, 218, 85, 264, 224, 270]
    assert google.groups.count("country-flag") == 259
    assert len(set(google.names)) == 1905  # "man in tuxedo" is there with and without a sign of sex


def test_images_are_images(both):
    for found in both.values():
        assert found.images.dtype == torch.float32 and 0 <= found.images.min() < 0.01 and found.images.max() == 1
        assert (found.images.flatten(1).std(1) > 0.005).all()  # none is blank; Twitter's white square nearly is
        corner = found.images[found.labels == CATEGORIES.index("Food & Drink")][:, :, 0, 0]
        assert (corner == 1).float().mean() > 0.95  # white paper


def test_what_they_look_like(both):
    """Without any sheet: a strawberry is red, a broccoli green."""
    for found in both.values():
        for name, channel in (("strawberry", 0), ("broccoli", 1)):
            image = found.images[found.names.index(name)]
            inside = image[:, (image < 0.9).any(0)].mean(1)
            assert inside.argmax() == channel


def test_another_designer_is_refused():
    with pytest.raises(ValueError, match="designer must be google or twitter: got 'apple'"):
        emoji("apple")
