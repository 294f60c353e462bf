"""What the documentation shows is what the commands print, and its examples run."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from kaniwa import cli

# Pages with a simulated core or board, which may have to be built first.
SIMULATED = {"first_inference.md", "own_board.md", "howto/run_on_a_board.md",
             "howto/own_design.md", "howto/litex.md"}
ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(page.relative_to(ROOT / "docs").as_posix()
               for page in (ROOT / "docs").rglob("*.md"))


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of each fenced block."""
    return re.findall(r"^```([^\n]*)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def is_runnable(name: str) -> bool:
    """Tell pages with Python or commands that tests run."""
    return any(kind in ("python", "console") for kind, _ in blocks(ROOT / "docs" / name))


def test_python_example_of_the_readme_runs(root: Path) -> None:
    examples = [text for kind, text in blocks(root / "README.md") if kind == "python"]
    assert examples
    for example in examples:
        subprocess.run([sys.executable, "-c", example], cwd=root, check=True)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.rtl, pytest.mark.slow] if name in SIMULATED else [])
    for name in PAGES if is_runnable(name)])
def test_examples_of_a_page_print_what_it_shows(
        name: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks in turn, in a folder beside models/: Python and commands.

    The lines shown under a command are printed
    in that order; `...` stands for others, and at the end of a line for the rest of it.
    """
    (tmp_path / "models").symlink_to(root / "models")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)     # processes of pytest-xdist have it
    for kind, block in blocks(root / "docs" / name):
        if kind == "python":
            exec(compile(block, name, "exec"), {"__name__": "__main__"})
        if kind != "console":
            continue
        for example in block.split("$ ")[1:]:
            command, *shown = example.splitlines()
            with pytest.raises(SystemExit):
                cli.main(shlex.split(command)[1:])
            captured = capsys.readouterr()
            printed = iter(lines(captured.out + captured.err))
            for line in lines("\n".join(shown)):
                assert line in ("", "...") or any(matches(line, other) for other in printed), (
                    f"{command}: not printed: {line}")


def lines(text: str) -> list[str]:
    """The lines with single spaces."""
    return [" ".join(line.split()) for line in text.splitlines()]


def matches(shown: str, printed: str) -> bool:
    """Compare a line of a page with one that was printed."""
    return printed.startswith(shown[:-3].rstrip()) if shown.endswith("...") else printed == shown


def test_the_pages_with_examples_are_those_that_are_meant() -> None:
    assert len([name for name in PAGES if is_runnable(name)]) >= 15
    assert SIMULATED <= {name for name in PAGES if is_runnable(name)}


def documents(root: Path) -> Iterator[Path]:
    """Every page, those outside docs/ too."""
    yield from (root / "README.md", root / "CONTRIBUTING.md", root / "models" / "README.md")
    yield from sorted((root / "docs").rglob("*.md"))


def shell_lines(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Page and words of each command in a block that is not run: hardware, hours, own files."""
    for page in documents(root):
        for kind, text in blocks(page):
            if kind == "sh":
                for line in text.replace("\\\n", " ").splitlines():
                    yield page.name, shlex.split(line, comments=True)


def test_a_block_is_run_or_is_checked_or_holds_no_command(root: Path) -> None:
    for page in documents(root):
        for kind, text in blocks(page):
            assert kind in ("python", "console", "sh", "json", "c", "{toctree}", "{eval-rst}",
                            ""), page     # C is compiled in tests/sw/export
            assert kind or not re.search(r"^(\$ )?kaniwa ", text, re.MULTILINE), (
                f"{page}: name the block console (tests run it) or sh: {text}")
        plain = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        assert not re.search(r"^    (\$ )?kaniwa ", plain, re.MULTILINE), page


def test_commands_that_are_not_run_have_verbs_and_options_that_exist(root: Path) -> None:
    verbs = set()
    for page, words in shell_lines(root):
        if words[:1] == ["kaniwa"] and "|" not in words:
            words = words[:words.index(">")] if ">" in words else words
            context = click.Context(cli.verbs)
            command = cli.verbs.get_command(context, words[1])
            assert command is not None, f"{page}: kaniwa {words[1]}"
            try:
                command.make_parser(click.Context(command)).parse_args(words[2:])
            except click.UsageError as error:
                pytest.fail(f"{page}: {' '.join(words)}: {error}")
            verbs.add(words[1])
    assert {"bitstream", "program", "selftest", "bench"} <= verbs


def test_targets_and_scripts_that_are_not_run_exist(root: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE))
    for page, words in shell_lines(root):
        if words[:1] == ["make"]:
            assert words[1] in targets, f"{page}: {' '.join(words)}"
        if words[:1] == ["python"] and words[1] != "-m":
            assert (root / words[1]).exists(), f"{page}: {' '.join(words)}"


@pytest.mark.rtl
def test_generated_parts_are_up_to_date(root: Path, capsys: pytest.CaptureFixture[str],
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("make_docs", root / "tools" / "make_docs.py")
    assert spec is not None and spec.loader is not None
    make_docs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_docs)
    monkeypatch.setattr(sys, "argv", ["make_docs.py", "--check"])
    assert make_docs.main() == 0, capsys.readouterr().out


def _anchors(page: Path) -> set[str]:
    """The names under which the headings of a page can be linked to."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    """The links of a page outside of its blocks."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\]\(([^)]+)\)", text)


def test_every_link_of_the_pages_leads_somewhere(root: Path) -> None:
    for page in documents(root):
        for link in links(page):
            if "://" not in link:
                file, _, anchor = link.partition("#")
                target = page.parent / file if file else page
                assert target.exists(), f"{page.name}: {link}"
                assert not anchor or anchor in _anchors(target), f"{page.name}: {link}"


def test_no_table_has_two_rows_for_the_same(root: Path) -> None:
    """Rows of a page's first column, as merges leave them twice."""
    for page in (root / "docs/commands.md", root / "docs/howto/README.md"):
        first = [line.split(" | ")[0] for line in page.read_text().splitlines()
                 if line.startswith("| `kaniwa") or (line.startswith("| ") and "](" in line)]
        assert sorted({*first}) == sorted(first), page


def test_links_to_other_places_are_safe_and_whole(root: Path) -> None:
    for page in documents(root):
        for link in links(page):
            if "://" in link:
                assert re.fullmatch(r"https://[\w.-]+\.[a-z]+(/[\w./~?=&%#+-]*)?", link), (
                    f"{page.name}: {link}")


def test_every_picture_is_shown_with_a_text(root: Path) -> None:
    shown = set()
    for page in documents(root):
        for text, link in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page.read_text()):
            assert len(text.split()) >= 3, f"{page.name}: {link} says nothing without its picture"
            shown.add((page.parent / link).resolve())
    drawn = set((root / "docs" / "pictures").glob("*.svg")) - {
        root / "docs" / "pictures" / "logo.svg"}
    assert drawn == shown & drawn
