"""Each numbered page keeps the section number of the article, and _toc.yml names each notebook."""

from pathlib import Path

from authoring.book import ROOT, notebooks, pages
from authoring.locks import unseen

NUMBERS = {
    "book/background/background": "1",
    "book/background/deep-learning-today": "1.1",
    "book/background/workflow": "1.2",
    "book/concepts/connections": "2",
    "book/algorithms/algorithms": "3",
    "book/algorithms/neural-networks": "3.1",
    "book/algorithms/forward": "3.1.1",
    "book/algorithms/backpropagation": "3.1.2",
    "book/algorithms/gradient-descent": "3.1.3",
    "book/algorithms/convolutional-networks": "3.2",
    "book/algorithms/convolution": "3.2.1",
    "book/algorithms/pooling": "3.2.2",
    "book/algorithms/recurrent-networks": "3.3",
    "book/algorithms/hidden-state": "3.3.1",
    "book/algorithms/output-state": "3.3.2",
    "book/algorithms/gates": "3.3.3",
    "book/algorithms/language": "3.4",
    "book/algorithms/word-embeddings": "3.4.1",
    "book/algorithms/text-generation": "3.4.2",
    "book/algorithms/self-attention": "3.4.3",
    "book/algorithms/transformer": "3.4.4",
    "book/algorithms/text-classification": "3.4.5",
    "book/algorithms/machine-translation": "3.4.6",
    "book/examples/examples": "4",
    "book/examples/neural-network": "4.1",
    "book/examples/convolutional-network": "4.2",
    "book/examples/recurrent-network": "4.3",
    "book/challenges/challenges": "5",
    "book/challenges/data": "5.1",
    "book/challenges/little-data": "5.1.1",
    "book/challenges/poor-data": "5.1.2",
    "book/challenges/interpretability": "5.2",
    "book/challenges/adaptation": "5.3",
    "book/challenges/transfer": "5.3.1",
    "book/challenges/zero-shot": "5.3.2",
    "book/challenges/cost": "5.4",
    "book/challenges/training-cost": "5.4.1",
    "book/challenges/deployment-cost": "5.4.2",
    "book/challenges/society": "5.5",
    "book/challenges/fairness": "5.5.1",
    "book/challenges/privacy": "5.5.2",
    "book/faq/faq": "6",
    "book/faq/deep-or-classical": "6.1",
    "book/faq/activations": "6.2",
    "book/faq/overfitting": "6.3",
    "book/faq/losses": "6.4",
    "book/faq/evaluation": "6.5",
}


def faults(root: Path = ROOT, numbers: dict[str, str] = NUMBERS) -> list[str]:
    """Return where _toc.yml departs from the table of section numbers, and the notebooks that it does not name."""
    found, listed = [], pages(root)
    for page in [*listed, *(page for page in numbers if page not in listed)]:
        number, wanted = listed[page][1] if page in listed else "", numbers.get(page, "")
        if number and not wanted:
            found.append(f"{page}: add its section number, {number}, to the table in authoring/locks/contents.py")
        elif number != wanted:
            found.append(f"{page}: its section number must be {wanted}: got {number or 'none'}: move it in _toc.yml")
    named = notebooks(root)
    for path in sorted((root / "book").rglob("*.ipynb")):
        if path not in named and ".ipynb_checkpoints" not in path.parts:
            found.append(f"{path.relative_to(root).as_posix()}: must be named in _toc.yml, or leave the folder")
    return found + unseen({page: 1 for page, (path, _) in listed.items() if path in named}, "notebooks", root)
