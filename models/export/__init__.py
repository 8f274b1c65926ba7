"""From a LeRobot checkpoint to a policy package. `lerobot.py` is the command; docs/export.md explains it."""
