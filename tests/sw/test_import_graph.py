"""The graph of imports: no module depends on one that depends on it, lazy imports included.

Modules that are looked up by a name made at run time (boards, benches, commands) are plug-ins of
the module that looks them up; that is no import here.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

# Folders of the tree, and the packages that they are.
PACKAGES = {"sw": "kaniwa", "hw": "kaniwa.hw", "sim": "kaniwa.sim", "boards": "kaniwa.boards"}


def modules(root: Path) -> dict[str, Path]:
    """The file of each module of the project, by the module's dotted name."""
    found = {}
    for folder, package in PACKAGES.items():
        for path in (root / folder).rglob("*.py"):
            parts = [package, *path.relative_to(root / folder).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported(tree: ast.AST) -> Iterator[tuple[str, str | None]]:
    """Each import anywhere in a file, as (module, name taken from it or None).

    Imports within functions count, and those for type checkers: a type is a dependence, too.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, "imports are absolute"
            yield from ((node.module, alias.name) for alias in node.names)


def import_graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """The modules that each module imports.

    A package is its ``__init__`` file. ``from package import submodule`` is an import of the
    submodule alone: a module does not depend on all that its package gives out. ``from package
    import name`` is an import of the package.
    """
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        reached = graph.setdefault(module, set())
        for target, name in imported(ast.parse(source)):
            reached.update([m for m in (f"{target}.{name}", target) if m in sources][:1])
    return graph


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of a shortest circle that starts at some module, the first one again at the end;
    empty where there is no circle."""
    for start in sorted(graph):
        before: dict[str, str] = {}
        waiting = [start]
        for module in waiting:
            for target in sorted(graph[module]):
                if target == start:
                    back = [module]
                    while back[-1] != start:
                        back.append(before[back[-1]])
                    return [*reversed(back), start]
                if target not in before and target != start:
                    before[target] = module
                    waiting.append(target)
    return []


def test_no_module_imports_itself_by_way_of_others(root: Path) -> None:
    files = modules(root)
    graph = import_graph({m: path.read_text() for m, path in files.items()})
    found = circle(graph)
    assert not found, "circle of imports: " + " -> ".join(
        str(files[module].relative_to(root)) for module in found)


def test_graph_has_the_modules_of_all_folders(root: Path) -> None:
    files = modules(root)
    graph = import_graph({m: path.read_text() for m, path in files.items()})
    for package in PACKAGES.values():
        assert any(m.startswith(f"{package}.") and graph[m] for m in graph), package


@pytest.mark.parametrize("back", [
    "import kaniwa.a",
    "from kaniwa.a import name",
    "from kaniwa import a",
    "def later():\n    from kaniwa.a import name",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from kaniwa.a import Name",
])
def test_planted_circle_is_found(back: str) -> None:
    sources = {"kaniwa": "", "kaniwa.a": "from kaniwa.b import name", "kaniwa.c": back,
               "kaniwa.b": "import os\nimport kaniwa.c", "kaniwa.d": "from kaniwa.a import name"}
    graph = import_graph(sources)
    assert circle(graph) == ["kaniwa.a", "kaniwa.b", "kaniwa.c", "kaniwa.a"]


def test_circle_through_a_package_is_found() -> None:
    sources = {"kaniwa.p": "from kaniwa.p.a import name", "kaniwa.p.a": "from kaniwa.p import name"}
    assert circle(import_graph(sources)) == [
        "kaniwa.p", "kaniwa.p.a", "kaniwa.p"]


def test_neighbors_in_a_package_are_no_circle() -> None:
    sources = {"kaniwa.p": "from kaniwa.p.a import name", "kaniwa.p.a": "from kaniwa.p import b",
               "kaniwa.p.b": ""}
    assert not circle(import_graph(sources))
