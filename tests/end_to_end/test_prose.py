"""Sentences of the documents are short, and the files that they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

LONGEST = 40
ROOTS = "hw|sw|sim|boards|tests|docs|examples|models|bench|tools"


def pages(root: Path) -> list[Path]:
    """Every document that people read, the decisions too."""
    return [root / "README.md", root / "CONTRIBUTING.md", root / "CHANGELOG.md",
            *sorted((root / "docs").rglob("*.md"))]


def paragraphs(text: str) -> list[tuple[int, str]]:
    """Line number and text of each paragraph and list item; no code, no tables, no headings."""
    found: list[tuple[int, list[str]]] = []
    fenced, is_open = False, False
    text = re.sub(r"<!--.*?-->", lambda m: "\n" * m[0].count("\n"), text, flags=re.DOTALL)
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.strip()
        if words.startswith("```"):
            fenced, is_open = not fenced, False
        elif fenced or (line.startswith("    ") and not is_open):
            continue
        elif not words or words.startswith(("|", "#")):
            is_open = False
        else:
            item = re.match(r"(?:[-*+]|\d+[.)])\s+", words)
            if item or not is_open:
                found.append((number, []))
            found[-1][1].append(words[item.end():] if item else words)
            is_open = True
    return [(number, " ".join(lines)) for number, lines in found]


def sentences(paragraph: str) -> list[int]:
    """Words of each sentence of a paragraph; what stands in backticks is one word."""
    plain = re.sub(r"`[^`]*`", "code", paragraph)
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", plain)
    parts = re.split(r"(?<=[.!?])[)\"*_]*\s+", plain)
    return [sum(any(map(str.isalnum, word)) for word in part.split()) for part in parts]


def long_sentences(text: str, longest: int = LONGEST) -> list[str]:
    """One line for each sentence above ``longest`` words: its line, its length, how it begins."""
    return [f"{number}: {words} words: {paragraph[:60]}..."
            for number, paragraph in paragraphs(text)
            for words in sentences(paragraph) if words > longest]


def named_paths(text: str) -> list[str]:
    """Files and folders from the root that a page names in backticks, as they stand there."""
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [span for span in spans if re.fullmatch(rf"(?:{ROOTS})/[\w./*{{}},-]*", span)]


def globs(path: str) -> list[str]:
    """The pattern of a path, one for each of the alternatives in its braces."""
    braces = re.search(r"\{([^}]*)\}", path)
    if braces is None:
        return [path]
    return [found for choice in braces[1].split(",")
            for found in globs(path[:braces.start()] + choice + path[braces.end():])]


def test_no_sentence_of_the_documents_has_more_than_forty_words(root: Path) -> None:
    found = [f"{page.relative_to(root)}:{line}" for page in pages(root)
             for line in long_sentences(page.read_text())]
    assert not found, "\n".join(found)


def test_every_file_that_the_documents_name_exists(root: Path) -> None:
    missing = [f"{page.relative_to(root)}: {path}" for page in pages(root)
               for path in named_paths(page.read_text())
               if any(not list(root.glob(pattern)) for pattern in globs(path))]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("text", [
    "word " * 41 + ".",
    "- short.\n- " + "word " * 41,
    "word\n" * 41,
    "Short. " + "[word](x.md) " * 41 + ". Short."])
def test_a_long_sentence_is_found(text: str) -> None:
    assert len(long_sentences(text)) == 1


@pytest.mark.parametrize("text", [
    "word " * 40 + ".",
    "```\n" + "word " * 41 + "\n```",
    "| " + "word " * 41 + " |",
    "text:\n\n    " + "word " * 41,
    "`" + "word " * 41 + "`",
    "word " * 30 + ". " + "word " * 30])
def test_what_is_no_long_sentence_is_not_found(text: str) -> None:
    assert not long_sentences(text)


def test_paths_in_braces_and_with_stars_are_understood() -> None:
    text = "`hw/core.py` `sw/{a,b}.py` `sim/bench_*.py` `kaniwa run` `other/x.py`"
    assert named_paths(text) == ["hw/core.py", "sw/{a,b}.py", "sim/bench_*.py"]
    assert globs("sw/{a,b}.py") == ["sw/a.py", "sw/b.py"]
