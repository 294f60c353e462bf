"""Optional packages: the extras of pyproject.toml, and the one line that names a missing one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from kaniwa.errors import Error, UnsupportedError

__all__ = ["install_command", "installed", "missing", "needed"]


# Packages whose import has another name.
DISTRIBUTIONS = {"PIL": "pillow", "google.protobuf": "onnx", "grpc": "grpcio",
                 "ai_edge_litert": "ai-edge-litert", "ai_edge_quantizer": "ai-edge-quantizer",
                 "amaranth_boards": "amaranth-boards", "prometheus_client": "prometheus-client",
                 "sklearn": "scikit-learn", "luna": "luna-usb", "usb_protocol": "luna-usb"}


def installed(package: str) -> bool:
    """True if ``package`` can be imported; it is not."""
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):     # of a name in sys.modules that stands for nothing
        return False


def missing(what: str, packages: str, extra: str) -> str:
    """One line for ``what`` that cannot run without ``packages``, which ``extra`` installs."""
    return f"{what} needs {packages}: {install_command(extra)}"


@contextmanager
def needed(what: str, extra: str, error: type[Error] = UnsupportedError) -> Iterator[None]:
    """Turn the failed import of a package of ``extra`` into ``error``, in the line of ``missing``.

    A module of kaniwa itself that is missing is no matter of extras: that error stays.
    """
    try:
        yield
    except ImportError as failed:
        if failed.name is None or failed.name.split(".")[0] == "kaniwa":
            raise
        top = failed.name.split(".")[0]
        package = DISTRIBUTIONS.get(failed.name) or DISTRIBUTIONS.get(top, top)
        raise error(missing(what, package, extra)) from None


def install_command(extra: str) -> str:
    """The command that adds ``extra`` to this installation, from where kaniwa came from.

    The name kaniwa is on no package index, so a clone is named by its folder.
    """
    return f"pip install {_requirement(extra, _origin())}"


def _origin() -> dict[str, Any]:
    """Notes of pip on the place that kaniwa was installed from; empty where pip made none."""
    for distribution in metadata.distributions(name="kaniwa"):     # a clone's own egg-info has none
        if text := distribution.read_text("direct_url.json"):
            found: dict[str, Any] = json.loads(text)
            return found
    return {}


def _requirement(extra: str, origin: dict[str, Any]) -> str:
    url = str(origin.get("url", ""))
    if "dir_info" in origin:
        folder = Path(unquote(urlsplit(url).path))
        if folder.is_dir():
            editable = "-e " if origin["dir_info"].get("editable") else ""
            return f"{editable}'{'.' if folder == Path.cwd() else folder}[{extra}]'"
    if "vcs_info" in origin:
        return f"'kaniwa[{extra}] @ {origin['vcs_info']['vcs']}+{url}'"
    return f"'.[{extra}]' in a clone of kaniwa"
