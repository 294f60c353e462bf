"""Add a build to the points that ``kaniwa explore`` fits area and clock to.

    python tools/add_point.py build/boards/ulx3s_25f-mine.json mine.toml
"""

import argparse
import json
from pathlib import Path

from kaniwa.config import load_target
from kaniwa.explore.points import POINTS, known_points, point_of_report, points_text
from kaniwa.files import write_atomic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="what kaniwa bitstream wrote, the .json")
    parser.add_argument("target", help="the preset or TOML file that was built")
    arguments = parser.parse_args()
    point = point_of_report(json.loads(arguments.report.read_text()), load_target(arguments.target))
    others = [one for one in known_points()
              if (one.board, one.hash, one.source) != (point.board, point.hash, point.source)]
    write_atomic(POINTS, points_text((*others, point)).encode())
    print(f"{POINTS}: {len(others) + 1} points; python -m pytest tests/sw/explore says how well "
          "the models fit")


if __name__ == "__main__":
    main()
