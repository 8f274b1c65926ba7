"""What the exporter takes of a LeRobotDataset v3: meta/info.json says cameras, joint names and the rate."""

from dataclasses import dataclass
from pathlib import Path

from .checkpoint import read_json
from .refusal import Refusal, listed


@dataclass
class Dataset:
    """A data set's features by name."""

    folder: Path
    features: dict
    fps: float
    robot: str | None

    @property
    def info(self):
        return self.folder / "meta" / "info.json"

    def cameras(self):
        """Features that hold images, with width and height."""
        sizes = {}
        for name, feature in self.features.items():
            if feature.get("dtype") in ("image", "video"):
                shape, axes = feature.get("shape"), feature.get("names")
                if not (isinstance(shape, list) and len(shape) == 3 and isinstance(axes, list) and len(axes) == 3):
                    raise Refusal(f"{self.info}: {name} does not say its shape and the names of its three axes")
                axes = [str(axis).lower().removesuffix("s") for axis in axes]
                named = dict(zip(axes, shape))
                if set(named) != {"height", "width", "channel"} or named["channel"] != 3:
                    raise Refusal(f"{self.info}: {name} has the axes {listed(axes)} of {shape}; height, width and 3 channels are needed")
                sizes[name] = (named["width"], named["height"])
        return sizes

    def names(self, feature):
        """Names of a vector's numbers, in their order."""
        held = self.features.get(feature)
        if held is None:
            raise Refusal(f"{self.info}: has no feature {feature}; it has {listed(self.features)}")
        names = held.get("names")
        if isinstance(names, dict) and sorted(names.values(), key=str) == sorted(range(len(names)), key=str):
            # Each name with its place.
            names = sorted(names, key=names.get)
        elif isinstance(names, dict) and len(names) == 1:
            # All names under one heading, such as "motors".
            names = next(iter(names.values()))
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise Refusal(f"{self.info}: {feature} has no list of names, so the order of its joints is unknown; add names in the order of the recording")
        shape = held.get("shape")
        if shape != [len(names)]:
            raise Refusal(f"{self.info}: {feature} has {len(names)} names and the shape {shape}")
        if len(set(names)) != len(names):
            raise Refusal(f"{self.info}: {feature} has the same name twice")
        return list(names)


def read(folder):
    """Reads a data set's description."""
    folder = Path(folder)
    info = read_json(folder / "meta" / "info.json", "is missing; --dataset takes the folder of a LeRobotDataset v3 (the one the policy was trained on)")
    version = str(info.get("codebase_version"))
    if not version.startswith("v3."):
        raise Refusal(f"{folder}/meta/info.json: codebase_version is {version}, v3.0 is needed; convert it with LeRobot's convert_dataset_v21_to_v30")
    features, fps = info.get("features"), info.get("fps")
    if not isinstance(features, dict):
        raise Refusal(f"{folder}/meta/info.json: has no features")
    if not isinstance(fps, (int, float)) or fps <= 0:
        raise Refusal(f"{folder}/meta/info.json: fps is {fps}, so the rate of the control loop is unknown")
    return Dataset(folder, features, float(fps), info.get("robot_type"))
