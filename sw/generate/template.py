"""Templates of the files, filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["render"]

FOLDER = Path(__file__).parent / "templates"


def render(template: str, /, **values: Any) -> str:
    """``template`` with ``values``, one of which must be there for each that it names."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # No file is HTML; XML is escaped where a value is put in.
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=False, trim_blocks=True,
                              lstrip_blocks=True, undefined=StrictUndefined,
                              keep_trailing_newline=True)
    return environment.get_template(template).render(**values)
