"""What the documentation shows is what the commands print, and its examples run."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kaniwa import cli


def test_python_example_of_the_readme_runs(root: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        subprocess.run([sys.executable, "-c", block], cwd=root, check=True)


@pytest.mark.parametrize(("name", "least"), [("preprocessing.md", 3),
                                             ("recipes/transformers.md", 2),
                                             ("recipes/streaming.md", 2),
                                             ("recipes/recurrent.md", 3)])
def test_examples_of_a_page_print_what_it_shows(
        name: str, least: int, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks in turn, in a folder beside models/: Python and commands.

    The lines shown under a command are printed
    in that order; `...` stands for others.
    """
    (tmp_path / "models").symlink_to(root / "models")
    monkeypatch.chdir(tmp_path)
    page = (root / "docs" / name).read_text()
    commands = 0
    for kind, block in re.findall(r"```(python|console)\n(.*?)```", page, re.DOTALL):
        if kind == "python":
            exec(compile(block, name, "exec"), {})
            continue
        for example in block.split("$ ")[1:]:
            command, *shown = example.splitlines()
            with pytest.raises(SystemExit):
                cli.main(shlex.split(command)[1:])
            captured = capsys.readouterr()
            printed = iter([" ".join(line.split())
                            for line in (captured.out + captured.err).splitlines()])
            for line in (" ".join(line.split()) for line in shown):
                assert line in ("", "...") or line in printed, f"{command}: not printed: {line}"
            commands += 1
    assert commands >= least


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


def test_every_link_of_the_pages_leads_somewhere(root: Path) -> None:
    for page in [root / "README.md", root / "CONTRIBUTING.md", *(root / "docs").rglob("*.md"),
                 root / "models" / "README.md"]:
        for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
            if "://" not in link:
                file, _, anchor = link.partition("#")
                target = page.parent / file if file else page
                assert target.exists(), f"{page.name}: {link}"
                assert not anchor or anchor in _anchors(target), f"{page.name}: {link}"
