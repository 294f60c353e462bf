"""Compiler wrapper that keeps the object files of the simulator's own runtime.

Verilator's makefile calls ``$(OBJCACHE) c++ ... -c -o X.o file.cpp``. Verilator's own files are the
same in every build and take most of the time of a small one, so their objects are kept: by the
command, the files of Verilator's folder, and the compiler. Only modules that start fast are
imported, for this runs once for every file of a build.
"""

import hashlib
import os
import shutil
import subprocess
import sys

RUNTIME = "verilated"     # how the names of Verilator's own files begin


def main(arguments: list[str]) -> int:
    """Run the compiler, or copy the object it made before from the same command and source."""
    source = next((a for a in arguments if a.endswith(".cpp")), "")
    folder = os.environ.get("KANIWA_OBJECTS")
    if not folder or "-o" not in arguments or not os.path.basename(source).startswith(RUNTIME):
        return subprocess.call(arguments)
    at = arguments.index("-o")
    output = arguments[at + 1]
    kept = os.path.join(folder, f"{_key([*arguments[:at], *arguments[at + 2:]], source)}.o")
    if not os.path.exists(kept):
        status = subprocess.call(arguments)
        if status == 0:
            os.makedirs(folder, exist_ok=True)
            temporary = f"{kept}.{os.getpid()}"
            shutil.copyfile(output, temporary)
            os.replace(temporary, kept)
        return status
    shutil.copyfile(kept, output)
    return 0


def _key(command: list[str], source: str) -> str:
    """Digest of what the object depends on: all that stands in the source's folder may go into it.

    Contents are not read: a file of a package does not change under its date and size.
    """
    folder = os.path.dirname(source)
    files = [shutil.which(command[0]) or ""]
    for place in (folder, os.path.join(folder, "vltstd")):
        if os.path.isdir(place):
            files += sorted(entry.path for entry in os.scandir(place) if entry.is_file())
    stats = [(path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in files if path]
    return hashlib.sha256(repr((command, stats)).encode()).hexdigest()[:32]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
