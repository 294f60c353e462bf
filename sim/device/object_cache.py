"""Compiler wrapper that keeps the object files of the simulator's own runtime.

Verilator's makefile calls ``$(OBJCACHE) c++ ... -c -o X.o file.cpp``. The files of Verilator and
cocotb are the same in every build and take most of its time, so their objects are kept by content.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

RUNTIME = ("verilated", "verilator.cpp")


def main(arguments: list[str]) -> int:
    """Run the compiler, or copy the object it made before from the same command and source."""
    source = next((a for a in arguments if a.endswith(".cpp")), "")
    folder = os.environ.get("KANIWA_OBJECTS")
    if not folder or "-o" not in arguments or not Path(source).name.startswith(RUNTIME):
        return subprocess.call(arguments)
    preprocessed = subprocess.run([*_without_output(arguments), "-E", "-P"], capture_output=True)
    if preprocessed.returncode:
        return subprocess.call(arguments)
    key = hashlib.sha256(" ".join(_without_output(arguments)).encode() + preprocessed.stdout)
    output = Path(arguments[arguments.index("-o") + 1])
    kept = Path(folder) / f"{key.hexdigest()[:32]}.o"
    if not kept.exists():
        status = subprocess.call(arguments)
        if status == 0:
            kept.parent.mkdir(parents=True, exist_ok=True)
            temporary = kept.with_name(f"{kept.name}.{os.getpid()}")
            shutil.copyfile(output, temporary)
            os.replace(temporary, kept)
        return status
    shutil.copyfile(kept, output)
    return 0


def _without_output(arguments: list[str]) -> list[str]:
    at = arguments.index("-o")
    return [a for i, a in enumerate(arguments) if i not in (at, at + 1) and a not in ("-c", "-MMD")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
