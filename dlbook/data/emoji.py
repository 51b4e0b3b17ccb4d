"""Emoji as images with names: the same signs as two designers draw them."""

import json
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from dlbook.data.store import fetch

DESIGNERS = ("google", "twitter")
SIDE, BORDER = 32, 1  # pixels of an image on the sheet, and of what surrounds it
CATEGORIES = [
    "Smileys & Emotion",
    "People & Body",
    "Animals & Nature",
    "Food & Drink",
    "Travel & Places",
    "Activities",
    "Objects",
    "Symbols",
    "Flags",
]


@dataclass(frozen=True)
class Emoji:
    """Colour images of 32 × 32 pixels, each with a name and a category.

    Args:
        images: red, green and blue from 0 to 1, on white.
        names: what Unicode calls each sign, in small letters, such as "polar bear".
        labels: of each image, the index of its category in `categories`.
        categories: the nine of Unicode.
        groups: the finer group of each, such as "animal-mammal".
    """

    images: Float32[Tensor, "emoji 3 32 32"]
    names: list[str]
    labels: Int64[Tensor, " emoji"]
    categories: list[str]
    groups: list[str]


def emoji(designer: str = "google") -> Emoji:
    """Load the 1,906 emoji of one designer, without those that differ in skin tone.

    Rows of two designers are the same signs: pairs for learning across styles, and a
    shift of domain. Mind what belongs together when you split them: 259 are flags of
    countries, and many are a man, a woman and a person at the same thing.

    Args:
        designer: "google" or "twitter".

    Returns:
        The images in Unicode's order, alike ones next to each other.

    Raises:
        ValueError: There is no such designer here.
        OSError: The data can neither be found nor fetched; see `store.fetch`.

    Source: Henderson 2025, emoji-data 16.0.
    """
    from PIL import Image  # which no other data needs

    if designer not in DESIGNERS:
        raise ValueError(f"designer must be google or twitter: got {designer!r}")
    folder = fetch(f"emoji-{designer}")
    entries = json.loads((folder / "emoji.json").read_text(encoding="utf-8"))
    wanted = [entry for entry in entries if entry["category"] in CATEGORIES]
    wanted.sort(key=lambda entry: entry["sort_order"])
    with Image.open(folder / "img" / designer / "sheets-256" / "32.png") as sheet:
        drawn = sheet.convert("RGBA")  # from a palette
        paper = Image.new("RGBA", drawn.size, "white")
        pixels = np.asarray(Image.alpha_composite(paper, drawn).convert("RGB"))
    pitch = SIDE + 2 * BORDER
    cut = []
    for entry in wanted:
        top, left = (pitch * entry[axis] + BORDER for axis in ("sheet_y", "sheet_x"))
        cut.append(pixels[top : top + SIDE, left : left + SIDE])
    return Emoji(
        torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2).float() / 255,
        [entry["name"].lower() for entry in wanted],
        torch.tensor([CATEGORIES.index(entry["category"]) for entry in wanted]),
        list(CATEGORIES),
        [entry["subcategory"] for entry in wanted],
    )
