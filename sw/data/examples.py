"""The examples: scripts and notebooks that come with kaniwa, and what they need.

They lie in ``examples/`` and read files of ``models/`` beside it, in a clone as in the installed
package. Data whose terms keep them out of a package are in a clone alone, and so are the examples
that read such data.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import kaniwa
from kaniwa.errors import Error, InputError
from kaniwa.files import write_atomic

__all__ = ["Example", "all_examples", "copy_examples", "find_example"]

INDEX = Path("examples") / "index.toml"
# What every example or every notebook imports, and the notices of models and data.
HELPER, NOTEBOOK_HELPER = Path("examples/_needs.py"), Path("examples/notebooks/_notebook.py")
PARTS = Path("examples/parts")
NOTICES = ("models/README.md", "models/inputs/README.md", "models/LICENSES/Apache-2.0.txt")


@dataclass(frozen=True)
class Example:
    """An example: its file and the files of ``models/`` that it reads, as paths in a clone."""

    name: str
    about: str
    file: Path
    extras: str
    models: tuple[Path, ...]

    @property
    def kind(self) -> str:
        return "notebook" if self.file.suffix == ".ipynb" else "script"

    @property
    def missing(self) -> list[Path]:
        """Files of this example that are not in this installation."""
        return [path for path in (self.file, *self.models) if not (_place() / path).is_file()]

    def files(self) -> list[Path]:
        """Every file that belongs to it, as paths in a clone."""
        text = (_place() / self.file).read_text(encoding="utf-8")
        files = [self.file, HELPER, *self.models]
        if self.kind == "notebook":
            files.append(NOTEBOOK_HELPER)
        if "from parts." in text:
            files += [path.relative_to(_place()) for path in (_place() / PARTS).glob("*.py")]
        return [*files, *(map(Path, NOTICES) if self.models else ())]


def all_examples() -> dict[str, Example]:
    """All examples by name, notebooks first. Raises Error where there are none."""
    table = tomllib.loads((_place() / INDEX).read_text(encoding="utf-8"))
    return {name: Example(name, entry["about"], Path("examples") / entry["file"], entry["extras"],
                          tuple(Path("models") / model for model in entry["models"]))
            for name, entry in table.items()}


def find_example(name: str) -> Example:
    """The example of this name, if all its files are here. Raises InputError."""
    examples = all_examples()
    if name not in examples:
        raise InputError(f"no example '{name}': there are {', '.join(examples)}")
    if missing := examples[name].missing:
        raise InputError(f"{name}: comes with a clone of kaniwa alone, as its data do: "
                         f"{', '.join(map(str, missing))} is not in this installation")
    return examples[name]


def copy_examples(examples: Iterable[Example], folder: Path, force: bool = False) -> list[Path]:
    """Copy examples and what they read into ``folder``; the files that were written.

    Files that are there with the same bytes stay. Raises InputError, with nothing written, where
    another file would be replaced and ``force`` does not say so.
    """
    files = dict.fromkeys(path for example in examples for path in example.files())
    contents = {folder / path: (_place() / path).read_bytes() for path in files}
    written = [path for path, data in contents.items()
               if not path.is_file() or path.read_bytes() != data]
    if not force and (taken := [path for path in written if path.exists()]):
        others = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise InputError(f"{taken[0]}{others}: a different file is there: give --force to replace "
                         "it, or another folder with --to")
    for path in written:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Error(f"{path.parent}: cannot be made ({error.strerror})") from None
        write_atomic(path, contents[path])
    return written


def _place() -> Path:
    """The folder that has ``examples/`` and ``models/``: a clone's, or the installed package."""
    package = Path(kaniwa.__file__).resolve().parent
    for place in (package, package.parent):
        if (place / INDEX).is_file():
            return place
    raise Error(f"{package}: no examples are in this installation: install kaniwa again, or take "
                "them from a clone")
