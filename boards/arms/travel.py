"""How far the joints of real arms travel, from LeRobot calibration files: the limits in an arm's TOML file.

    python boards/arms/travel.py calibrations/*.json

A joint's limits are half of its widest sweep either way, since LeRobot's zero is the middle of the sweep: an arm at rest on its
stops then lies inside. Left out are sweeps that say nothing about stops: a whole turn (a joint without stops, or one whose
encoder's seam lay inside of the sweep), ticks outside of the encoder's, joints that were hardly moved, and what is wider than the
median by more than a tenth: an arm built otherwise. Of the gripper, which is closed at the first tick of its sweep, the median and
the widest opening are told.
"""

import json
import math
import statistics
import sys

TURN = 4096
"""Ticks of an encoder's turn."""
LEAST_DEGREES = 90.0
"""Less than this and a joint was not moved through its range."""


def sweeps(paths: list[str]) -> dict[str, list[float]]:
    """Each joint's sweeps in degrees, the narrowest first."""
    found: dict[str, list[float]] = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            joints = json.load(file)
        for name, joint in joints.items():
            if "range_min" not in joint:
                continue
            first, last = joint["range_min"], joint["range_max"]
            degrees = (last - first) * 360.0 / TURN
            if 0 <= first and last < TURN and LEAST_DEGREES <= degrees < 359.0:
                found.setdefault(name, []).append(degrees)
    return {
        name: sorted(sweep for sweep in degrees if sweep <= 1.1 * statistics.median(degrees))
        for name, degrees in found.items()
    }


def main() -> None:
    """Prints a line for each joint."""
    for name, degrees in sweeps(sys.argv[1:]).items():
        widest = degrees[-1]
        if name == "gripper":
            print(f"{name}: n {len(degrees)}, opens {statistics.median(degrees):.1f} degrees (median), {widest:.1f} at most")
        else:
            half = math.radians(widest / 2)
            print(f"{name}: n {len(degrees)}, limits -{half:.5f} .. {half:.5f} rad ({widest / 2:.2f} degrees)")


if __name__ == "__main__":
    main()
