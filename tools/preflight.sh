#!/bin/sh
# Prints the Python to make .venv with, or says in one line what this machine lacks. Make runs it
# before anything else, so that nobody waits for downloads to learn that the compiler is missing.
# PYTHON names another interpreter to use.

missing=
lacks() { missing="${missing:+$missing, }$1"; }

python=
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    # Debian has venv without ensurepip when python3-venv is not installed.
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || lacks "Python 3.11 or later with venv${PYTHON:+ (PYTHON=$PYTHON)}"
# Verilator's own makefiles call these two by exactly these names.
command -v c++ >/dev/null 2>&1 || lacks "a C++ compiler (c++)"
command -v perl >/dev/null 2>&1 || lacks "perl"
command -v make >/dev/null 2>&1 || lacks "make"

if [ -n "$missing" ]; then
    echo "kaniwa: this machine lacks $missing (Debian, Ubuntu: apt install python3-venv g++ make perl)" >&2
    exit 1
fi
echo "$python"
