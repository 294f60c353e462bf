"""``python -m kaniwa``: the same as the command ``kaniwa``."""

from kaniwa.cli import main

if __name__ == "__main__":
    main()
