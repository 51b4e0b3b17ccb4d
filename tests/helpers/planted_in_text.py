"""Faults planted in text: sentences, numbers, claims, formulas, links, and the pages that list them."""

import json
import re

from nbformat import NotebookNode

from authoring.book import code_cells, tags
from tests.helpers.planted import file, plants, put, text

END = r"(?<=[a-z])\. (?=[A-Z])"  # of a sentence
MARK = r"<!-- {}(?:(?!-->).)*-->"
IN_BULLET = r"^(- [^\n]*?)\s*<!-- claim: (?:(?!-->).)*-->"
LAST_BULLET = r"(^## What to remember\n(?:\n*- .*)+)"
NOTATION, GLOSSARY = "book/appendix/notation.md", "book/appendix/glossary.md"
CORRECTIONS, SOURCES, INTRO = "book/appendix/corrections.md", "book/references.bib", "book/intro.md"
OPENER = "book/algorithms/neural-networks"

# --- portable Markdown, links, openers, sections ----------------------------------------------------------------------

plants("markdown", "a role of MyST")(text(END, " (see {ref}`here`). ", "MyST role", "{ref}`"))
plants("markdown", "a directive of MyST")(text(r"\Z", "\n\n```{note}\nRead on.\n```", "MyST directive", "```{"))
plants("markdown", "a footnote")(text(END, "[^1]. ", "MyST footnote", "[^1]"))
plants("markdown", "a label above a heading")(text(r"^(?=## )", "(here)=\n", "MyST label", "(here)="))

plants("links", "a link to a chapter that is not there")(
    text(
        r"\]\((?:\.\./\w+/)?([\w-]+)\.ipynb\)", r"](\1-nets.ipynb)", "links to a file that is not there", "-nets.ipynb"
    )
)
plants("links", "an image that is not there")(text(END, ". ![Photo](photo.png) ", "not there", "photo.png"))

plants("links", "a link to a heading")(
    text(r"\]\(((?:\.\./\w+/)?[\w-]+\.ipynb)\)", r"](\1#Exercises)", "a link to a heading works in", "#Exercises")
)

plants("openers", "a map without one of its chapters")(
    file(f"{OPENER}.md", r'<a href="backpropagation.html">', "<a>", "must lead to book/algorithms/backpropagation")
)
plants("openers", "a second heading in an opener")(file(f"{OPENER}.md", r"\Z", "\n## More\n", OPENER, "h1, h2"))
plants("openers", "an opener without a title")(file(f"{OPENER}.md", r"^# .*\n", "", OPENER, "got none"))


@plants("contents")
def a_chapter_moved_before_another(book):
    found = book.file("_toc.yml", r"( +- file: \S+/forward\n)( +- file: (\S+/backpropagation)\n)", r"\2\1")
    return found[3], "its section number must be"


@plants("contents")
def a_chapter_that_no_table_of_contents_names(book):
    book.file("_toc.yml", r" +- file: book/algorithms/pooling\n", "")
    return ("book/algorithms/pooling.ipynb: must be named in _toc.yml",)


@plants("contents")
def a_new_section_without_a_number_in_the_table(book):
    put(book.root / "book" / "faq" / "more.md", "# More\n")
    book.file("_toc.yml", r"( +)- file: book/faq/losses\n", r"\g<0>\1- file: book/faq/more\n")
    return ("book/faq/more: add its section number",)


# --- half-widths ------------------------------------------------------------------------------------------------------


plants("half_widths", "a half-width that allows anything")(
    text(r"(\d)( %)?(<!-- = [^±>]*?)(?: ± [\d.]+)? -->", r"\1\2\3 ± 500 -->", "± 500” may be at most ±")
)


# --- numbers ----------------------------------------------------------------------------------------------------------

UNMARKED, WORDS = "a number must be marked", "a quantity in words must be marked"
plants("numbers", "a digit without a mark")(text(END, ", in 37 runs. ", UNMARKED, "37"))
plants("numbers", "a digit in a heading")(text(r"^(## \w.*)$", r"\1 in 37 runs", UNMARKED, "37"))
plants("numbers", "a digit in a table")(text(r"\Z", "\n\n| a | b |\n|---|---|\n| c | 37 |", UNMARKED, "37"))
plants("numbers", "a digit in the text of a link")(text(END, ". See [37 runs](forward.ipynb). ", UNMARKED, "37"))
plants("numbers", "a fraction in words without a mark")(text(END, ", for half of the errors. ", WORDS, "half"))
plants("numbers", "a multiple in words without a mark")(text(END, ", twice as often. ", WORDS, "twice"))
plants("numbers", "a count out of others in words without a mark")(text(END, ", nine in ten. ", WORDS, "nine in ten"))
plants("numbers", "a unit in words without a mark")(text(END, ", by ninety per cent. ", WORDS, "ninety per cent"))
plants("numbers", "a mark that is lost")(text(r"(\d %)" + MARK.format("= "), r"\1", UNMARKED))
plants("numbers", "a mark away from its number")(
    text(rf"(\d %)({MARK.format('= ')})", r"\1 of them\2", "a mark must follow a number directly")
)
plants("numbers", "an expression that is none")(text(r"(\d %<!-- = )", r"\1) ", "got “"))
plants("numbers", "a stored result misquoted")(
    text(r"\d+( s<!-- bench: )", r"97\1", "the number must be that of benchmarks/results", "97 s")
)
plants("numbers", "a source that is not in the bibliography")(
    text(r"<!-- from: \w+", "<!-- from: nobody1900", "the source must be a key of book/references.bib", "nobody1900")
)
plants("numbers", "a comparison with another number than that of its mark")(
    text(r"two points(?=<!-- is:)", "three points", "the expression must compare with the number of the text, 3")
)
plants("numbers", "a comparison turned over")(
    text(r"[Ll]ess than( [^<\n]{1,20}<!-- is:)", r"more than\1", "the text says more", "the expression the opposite")
)
plants("numbers", "a mark of a comparison where nothing is compared")(
    text(r"[Ll]ess than( [^<\n]{1,20}<!-- is:)", r"just\1", "is: belongs to a comparison")
)
plants("numbers", "a stored comparison that does not hold")(
    text(r"(<!-- is: bench: (?:(?!-->).)*)-->", r"\1and 1 < 0 -->", "must hold in benchmarks/results")
)
plants("numbers", "words with a reason that gives none")(
    text(MARK.format("given: "), "<!-- given: so -->", "given: must say in 3 words or more")
)
plants("numbers", "a reason in place of a comparison")(
    text(rf"(\d %){MARK.format('= ')}", r"\1<!-- given: it is well known -->", "given: is for words")
)
plants("numbers", "words that others would do as well for")(
    text(r"((?:half|third)<!-- =[^>]*?)(?:± [\d.]+ )?-->", r"\1 ± 0.4 -->", "words may be off by at most")
)
plants("numbers", "words without a half-width")(
    text(r"((?:half|third)<!-- =[^>]*?)± [\d.]+ -->", r"\1-->", "the mark must say how far the value may be off")
)
plants("numbers", "a digit in an opener")(file(f"{OPENER}.md", END, ", in 37 runs. ", OPENER, UNMARKED, "37"))
plants("numbers", "a digit in the alt text of a drawing")(
    file(f"{OPENER}.md", r'aria-label="', r"\g<0>37 runs: ", OPENER, UNMARKED, "37")
)
plants("numbers", "a number of a run on a page without code")(
    file(f"{OPENER}.md", END, ", in 37<!-- = runs --> runs. ", OPENER, "a page without code computes nothing")
)


@plants("numbers")
def a_stored_result_that_changes(book):
    page = book.text(r"(<!-- bench: chapters\[\"seconds\"\])", r"\1")
    name = page.rpartition("/")[2].replace("-", "_")
    book.file("benchmarks/results/chapters.json", rf'"{name}": \d+', f'"{name}": 997')
    return page, "the number must be that of benchmarks/results, 997"


@plants("numbers")
def a_stored_result_that_is_gone(book):
    page = book.text(r"(<!-- bench: chapters\[\"seconds\"\])", r"\1")
    name = page.rpartition("/")[2].replace("-", "_")
    book.file("benchmarks/results/chapters.json", rf'"{name}": \d+', '"nothing": 1')
    return page, repr(name)


def described(harm):
    """Return what harms the settings of the first figure for which `harm` finds something to change."""
    return lambda book: book.code(lambda cell: harm(cell.metadata.get("mystnb", {})))


@plants("numbers")
def an_alt_text_changed_by_hand(book):
    @described
    def plant(settings):
        if "alt_from" in settings:
            settings.image.alt = re.sub(r"\d", "7", settings.image.alt) + " And more."
        return "alt_from" in settings

    return plant(book), "must be that of its template alt_from"


@plants("numbers")
def a_digit_in_a_template_of_an_alt_text(book):
    @described
    def plant(settings):
        if "alt_from" in settings:
            settings.alt_from, settings.image.alt = settings.alt_from + " In 37.", settings.image.alt + " In 37."
        return "alt_from" in settings

    return plant(book), "the alt text", UNMARKED, "37"


@plants("numbers")
def a_digit_in_an_alt_text_without_a_template(book):
    @described
    def plant(settings):
        if plain := "alt_from" not in settings and "image" in settings:
            settings.image.alt += " Near 82 per cent."
        return plain

    return plant(book), "the alt text", UNMARKED, "82"


@plants("numbers")
def a_quantity_in_words_in_an_alt_text(book):
    @described
    def plant(settings):
        if plain := "alt_from" not in settings and "image" in settings:
            settings.image.alt += " It rises by ninety per cent."
        return plain

    return plant(book), "the alt text", WORDS, "ninety per cent"


@plants("numbers")
def marks_that_the_site_would_show_in_an_alt_text(book):
    @described
    def plant(settings):
        if "alt_from" in settings:
            settings.image.alt = settings.pop("alt_from")
        return "<!--" in settings.get("image", {}).get("alt", "")

    return plant(book), "would show its marks"


def unchecked(nb: NotebookNode) -> bool:
    """Take away what the cell that checks the text printed."""
    for cell in code_cells(nb):
        if "prose-check" in tags(cell):
            cell.outputs = []
            return True
    return False


@plants("numbers")
def numbers_that_no_run_compared(book):
    return book.chapter(unchecked), "must have one cell that compared its numbers with the run"


# --- claims -----------------------------------------------------------------------------------------------------------


def bullet(sentence: str, *says: str):
    """Return what adds a thing to remember."""
    return text(LAST_BULLET, rf"\1\n- {sentence}", *says, least=2)


plants("claims", "a thing to remember without a claim")(text(IN_BULLET, r"\1", "must carry a claim", least=2))


@plants("claims")
def a_chapter_set_back_to_the_first_edition(book):
    def harm(nb):
        return nb.metadata.dlbook.update(edition=1) is None

    return book.chapter(harm, least=2), "must stay in edition 2"


plants("claims", "a comparison in In short without a claim")(
    text(
        r"(\*\*In short\.\*\*) ",
        r"\1 Networks are better than trees. ",
        "“Networks are better than trees.",
        "must carry a claim",
        least=2,
    )
)
plants("claims", "a claim that cannot fail")(bullet("It works. <!-- claim: 1 == 1 -->", "must be able to fail"))
plants("claims", "a claim that is no expression")(
    bullet("It works. <!-- claim: it works -->", "an expression of Python")
)
plants("claims", "an interval on the other side")(
    text(r"\.above\(0\)", ".below(0)", "must rest on an interval, by .above(0)", "got .below(0)", least=2)
)
plants("claims", "better, on an interval that contains zero")(
    text(r"\.above\(0\)", ".contains(0)", "must rest on an interval, by .above(0): got .contains(0)", least=2)
)
plants("claims", "more where the interval says less")(
    text(r"\bworse\b(?= here by the Brier score)", "more", "“more” must rest on", least=2)
)
plants("claims", "a comparison without an interval")(
    bullet('Networks are better. <!-- claim: bench: chapters["seconds"]["losses"] > 1 -->', "“better” must rest on")
)
plants("claims", "a claim that the stored results contradict")(
    bullet('It is quick. <!-- claim: bench: chapters["seconds"]["losses"] < 1 -->', "the claim must be True: got False")
)
plants("claims", "a claim on an equation of another chapter")(
    bullet("So it is. <!-- claim: equation 3.1.1z -->", "equation 3.1.1z must have its", "in this chapter")
)
plants("claims", "a claim in another place")(
    text(END, ". <!-- claim: 1 > 0 --> ", "a claim must stand in a bullet under What to remember", least=2)
)
plants("claims", "a thing to remember outside the bullets")(
    text(r"^(## What to remember)\n", r"\1\n\nThis holds.\n", "all must stand in bullets", least=2)
)


@plants("claims")
def claims_that_no_run_checked(book):
    return book.chapter(unchecked, least=2), "must have checked its", "claims in the run"


# --- equations, notation ----------------------------------------------------------------------------------------------

FORWARD = "book/algorithms/forward"
plants("equations", "an equation without a tag")(text(r"\s*\\tag\{3\.1\.1b\}", "", FORWARD, r"must have one \tag"))
plants("equations", "two equations with one tag")(
    text(r"\\tag\{3\.1\.1b\}", r"\\tag{3.1.1a}", FORWARD, "must have a tag of its own")
)
plants("equations", "a tag of another section")(
    text(r"\\tag\{3\.1\.1b\}", r"\\tag{3.1.2a}", FORWARD, "must have a tag made of 3.1.1")
)
plants("equations", "an equation that is gone")(
    lambda book: (book.text(r"\$\$[^$]*\\tag\{3\.1\.1b\}[^$]*\$\$", "")[:0], "equation 3.1.1b must be in the book")
)
plants("equations", "a new equation without a test")(
    text(
        r"\\tag\{3\.1\.1b\}\n?\$\$",
        r"\g<0>\n\n$$\nz = a \\tag{3.1.1z}\n$$",
        FORWARD,
        "equation 3.1.1z must have a test",
    )
)
plants("equations", "an equation that begins otherwise")(
    text(END, ".\n\n\\\\begin{equation}z = a\\\\end{equation}\n\n", "must stand between $$ and $$")
)
plants("equations", "a derivation from an equation that is not there")(
    text(END, ".\n\n$$\nz = a\n$$\n<!-- derivation of 9.9z -->\n\n", "is derived from 9.9z, which must be in the book")
)


@plants("equations")
def a_test_that_no_longer_holds_its_equation(book):
    decorator = r'^@executed\("3\.1\.1b".*\n'
    book.file(book.first("tests", decorator), decorator, "")
    return FORWARD, "equation 3.1.1b must have a test"


@plants("equations")
def a_test_of_what_the_package_does_not_have(book):
    decorator = r'^(@executed\("3\.1\.1b", of="[\w.]+)'
    name = book.first("tests", decorator)
    book.file(name, decorator, r"\1_of_old")
    return name, "a name must mean something that exists"


@plants("equations")
def a_test_that_does_not_execute_its_equation(book):
    source = '@equation("3.1.1b", "dlbook.activations.softmax", right, wrong)\ndef test_it(formula): ...\n'
    put(book.root / "tests" / "test_by_hand.py", source)
    return "tests/test_by_hand.py", "must be decorated @executed(tag, of=…)"


plants("notation", "a new symbol in a formula")(
    lambda book: (book.text(r"(?= *\\tag\{3\.1\.1a\})", r" + \\Xi_i")[:0], NOTATION, r"must list \Xi", "3.1.1")
)
plants("notation", "a symbol that is not listed any more")(
    file(NOTATION, r"^\| \$\\odot\$ .*\n", "", NOTATION, r"must list \odot")
)
plants("notation", "a symbol listed for a section that does not use it")(
    file(NOTATION, r"^(\| \$\\cup\$ .*)\|$", r"\1 [§1.2] |", NOTATION, r"\cup", "section 1.2 does not use")
)
plants("notation", "a section that leads to another chapter")(
    file(NOTATION, r"^\[§6\.5\]: .*", "[§6.5]: ../faq/losses.ipynb", "[§6.5]: must be defined")
)
plants("notation", "a letter with two meanings that nobody confesses")(
    file(NOTATION, r"(?s)(## Letters with two meanings.*?\n\|---.*?\n)\|[^\n]*\n", r"\1", "has two meanings", "say so")
)

# --- the pages that list ----------------------------------------------------------------------------------------------

plants("prerequisites", "a chapter needed by the map alone")(
    text(r"(\*\*You need\*\*[^\n]*?)\[([^\]]+)\]\(forward\.ipynb\)", r"\1\2", "forward comes before it only in the map")
)
plants("prerequisites", "an arrow that is gone from the map")(
    file(
        INTRO, r'^<path class="edge" data-from="forward" data-to="backpropagation".*\n', "", "backpropagation: forward"
    )
)
plants("prerequisites", "a chapter that is gone from the map")(
    file(INTRO, r'^<a href="algorithms/pooling\.html"><rect.*\n', "", "the map must link to book/algorithms/pooling")
)
plants("prerequisites", "a chapter that does not say what it needs")(
    text(r"\*\*You need\*\*", "Needed:", "must say **You need**")
)

END_OF_CELL, WRONG = r"\Z", "\n\n> **A correction to the article.** It is wrong on this."
plants("corrections", "a correction that the chapter does not show")(
    file(CORRECTIONS, r"(\.ipynb\)<!-- )", r"\1Never said: ", CORRECTIONS, "must say 'Never said: ")
)
plants("corrections", "a correction that is gone from the list")(
    file(CORRECTIONS, r"^2\. \*\*.*\n", "", CORRECTIONS, "numbers must run from 1")
)
plants("corrections", "a correction that the list does not know")(
    lambda book: [f"../{book.text(END_OF_CELL, WRONG).removeprefix('book/')}.ipynb: must be listed: > **A correction"]
)
plants("corrections", "a correction without the words of its chapter")(
    file(CORRECTIONS, r"(\.ipynb\))<!-- .*? -->", r"\1", CORRECTIONS, "must be followed by <!-- words")
)

ENTRY = r"(\*\*.*\n: .*\n)\n(\*\*.*\n: .*\n)"
plants("glossary", "two terms in the wrong order")(file(GLOSSARY, ENTRY, r"\2\n\1", GLOSSARY, "must stand before"))
plants("glossary", "a term without Chinese")(
    file(GLOSSARY, r'^(\*\*accuracy\*\*) <span lang="zh">.*', r'\1 <span lang="zh">accuracy</span>', "Chinese term")
)
plants("glossary", "a term under another letter")(file(GLOSSARY, r"^## B$", "## Q", "backpropagation: must not stand"))
plants("glossary", "a term that leads to a chapter without it")(
    file(
        GLOSSARY,
        r"(\*\*Adam\*\*.*\n: .*\]\().*?(\))",
        r"\1../algorithms/word-embeddings.ipynb\2",
        "Adam",
        "must say 'Adam'",
    )
)
plants("glossary", "a term without a meaning")(
    file(
        GLOSSARY,
        r"^(\*\*accuracy\*\*.*\n: ).*",
        r"\1Unknown.",
        GLOSSARY,
        "each entry must have a term, a meaning and a",
    )
)

plants("references", "a source that nobody cites")(
    file(SOURCES, r"\Z", "\n@misc{nobody1900, author = {N. Body}, title = {A}, year = {1900}, howpublished = {B}, "
         "url = {https://example.org/a}}\n", "nobody1900", "must be cited"),
)  # fmt: skip
plants("references", "a source without a year")(file(SOURCES, r"^  year = .*\n", "", "must have year"))
plants("references", "a source with an address that cannot be right")(
    file(SOURCES, r"(  eprint = \{)\d+", r"\1abc", "eprint must look like")
)
plants("references", "a source twice")(
    file(SOURCES, r"(@\w+\{)(\w+)(,(?:\n  .*)*\n\}\n)", r"\g<0>\n\1\2copy\3", "must be the address of one entry")
)
plants("references", "a key twice")(
    file(SOURCES, r"@\w+\{\w+,(?:\n  .*)*\n\}\n", r"\g<0>\n\g<0>", "book/references.bib: must be BibTeX, each key once")
)
plants("references", "a link under Sources without an entry")(
    text(r"^(## Sources\n)", r"\1\n- N. Body, [A](https://example.org/a), 1900.\n", "https://example.org/a", "Sources")
)
plants("references", "a source of another title")(
    text(
        r"(^## Sources\n(?:.*\n)*?.*[A-Z]\. [A-Z]\w+, \[)\w+",
        r"\1Brief",
        "must be the title in book/references.bib",
        "Brief",
    )
)
plants("references", "a source of another year")(
    text(
        r"\[([^\]\n]*) (?:19|20)\d\d\](?=\(https://(?:doi|arxiv)\.org)",
        r"[\1 1901]",
        "1901” must say",
        "the year of its entry",
    )
)


@plants("references")
def a_docstring_with_a_source_without_an_entry(book):
    pattern = r"^(    Source: )[A-Z][^;\n]*?(?: et al\.)? \d{4}"
    book.file(book.first("dlbook", pattern), pattern, r"\1Nobody 1900")
    return ("names Nobody 1900, which is 0 entries",)


# --- terms ------------------------------------------------------------------------------------------------------------

plants("terms", "a private word")(text(END, ", as the picture shows. ", "“picture” must be image", least=2))
plants("terms", "a private word in a heading")(text(r"^## (?=\w)", "## The picture: ", "heading “The picture", least=2))
plants("terms", "a term that the glossary lacks")(
    text(END, ". This is called *quuxing*. ", "“quuxing” is defined in italics", GLOSSARY, least=2)
)
plants("terms", "an everyday sense that is none")(
    text(END, " there<!-- everyday -->. ", "<!-- everyday --> must follow a word of", least=2)
)

# --- README -----------------------------------------------------------------------------------------------------------

plants("README", "a lock that README does not list")(file("README.md", r"^\d+\. `links`.*\n", "", "README.md"))
plants("README", "another number of kinds in README")(
    file("README.md", r"\d+ kinds of faults", "5 kinds of faults", "README.md")
)


@plants("results")
def a_result_changed_by_hand(book):
    book.file("benchmarks/results/attention.json", r"(: \d+)(\d,?)$", r"\g<1>7\2")
    return ("attention.json was changed by hand",)


@plants("results")
def a_result_of_other_code(book):
    stored = json.loads(book.read("benchmarks/results/attention.json"))
    stored["made"]["made_from"] = "0" * 16
    put(book.root / "benchmarks" / "results" / "attention.json", json.dumps(stored))
    return ("attention.json is stale",)


@plants("results")
def a_measurement_changed_after_it_was_taken(book):
    book.file("benchmarks/attention.py", r"^(HEADS, D = )\d+", r"\g<1>3")
    return ("attention.json is stale",)
