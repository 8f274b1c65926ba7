#!/usr/bin/env python3
"""LeRobot checkpoint -> policy package. `--help` shows how, docs/export.md explains it."""

import sys
from pathlib import Path

# This file has the name of the library that it reads: the folder above takes the place of its own in the search path.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from export.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
