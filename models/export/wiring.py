"""Which camera and which joint of the data set is which input and output of the policy. Matched by name, never by position."""

import re
from dataclasses import dataclass, field

from .refusal import Refusal, listed
from .normalisation import shortest

UNITS = ("m", "rad", "degrees", "lerobot_degrees", "lerobot_range", "percent", "fraction", "none")
SPACES = ("joint_position", "joint_delta", "ee_delta")
JOINT_UNITS = {"degrees": "lerobot_degrees", "range": "lerobot_range"}
STATE, ENVIRONMENT, ACTION = "observation.state", "observation.environment_state", "action"
EMPTY_CAMERA = re.compile(r"^observation\.images\.empty_camera_\d+$")


@dataclass
class Options:
    """What the command line says beyond the folders."""

    rename: dict = field(default_factory=dict)
    ignore: set = field(default_factory=set)
    without_camera: set = field(default_factory=set)
    ignore_field: set = field(default_factory=set)
    joint_units: str | None = None
    units: dict = field(default_factory=dict)
    space: str | None = None
    statistics: str | None = None
    prompt_state: str | None = None
    execute: int | None = None
    name: str | None = None
    version: str = "1.0.0"
    licence: str | None = None
    description: str | None = None
    instruction: str | None = None


@dataclass
class Camera:
    """A camera: its feature in the policy and in the data set, the size that the policy's configuration says, that of the data set."""

    feature: str
    name: str
    declared: tuple
    recorded: tuple

    @property
    def tensor(self):
        """Its name in a graph."""
        return "image_" + re.sub(r"\W", "_", self.name.removeprefix("observation.images.").removeprefix("observation."))


def features_of(checkpoint, key, kind):
    """Features of the configuration that have this type, in their order."""
    features = checkpoint.config.get(key)
    if not isinstance(features, dict) or not features:
        raise Refusal(f"{checkpoint.folder}/config.json: has no {key}")
    result = {}
    for name, feature in features.items():
        if not isinstance(feature, dict) or "type" not in feature or not isinstance(feature.get("shape"), list):
            raise Refusal(f"{checkpoint.folder}/config.json: {key}.{name} has no type and shape")
        if feature["type"] not in ("VISUAL", "STATE", "ENV", "ACTION"):
            raise Refusal(f"{checkpoint.folder}/config.json: {key}.{name} has the type {feature['type']}, which this exporter does not know")
        if feature["type"] == kind:
            result[name] = tuple(feature["shape"])
    return result


def cameras(checkpoint, dataset, options, may_lack=False):
    """The cameras that the policy sees, in its order. `may_lack`: LeRobot runs this kind of policy without some of them."""
    names = {**checkpoint.rename, **options.rename}
    recorded = dataset.cameras()
    for old in options.rename:
        if old not in dataset.features:
            raise Refusal(f"--rename {old}: {dataset.info} has no feature {old}; its cameras are {listed(recorded)}")
    by_policy = {names.get(name, name): name for name in recorded}
    wanted = features_of(checkpoint, "input_features", "VISUAL")
    result = []
    for feature, shape in wanted.items():
        if len(shape) != 3 or shape[0] != 3:
            raise Refusal(f"{checkpoint.folder}/config.json: input_features.{feature} has the shape {list(shape)}; [3, height, width] is needed")
        if may_lack and (EMPTY_CAMERA.match(feature) or feature in options.without_camera):
            continue
        if feature not in by_policy:
            more = f", or --without-camera {feature} if the policy was trained without it" if may_lack else ""
            raise Refusal(f"{dataset.info}: has no camera {feature}, which config.json asks for; its cameras are {listed(recorded)}; say --rename RECORDED={feature}{more}")
        name = by_policy[feature]
        result.append(Camera(feature, name, (shape[2], shape[1]), recorded[name]))
    used = {camera.name for camera in result}
    for name in recorded:
        if name not in used and name not in options.ignore:
            raise Refusal(f"{dataset.info}: has the camera {name}, which the policy does not see (it sees {listed(wanted)}); say --rename {name}=FEATURE, or --ignore {name}")
    for name in options.without_camera - set(wanted):
        raise Refusal(f"--without-camera {name}: config.json has no such camera; it has {listed(wanted)}")
    return result


def same_size(camera, dataset):
    """For policies that do not resize: the data set's frames have the size of the configuration."""
    if camera.declared != camera.recorded:
        declared, recorded = ("{} x {}".format(*size) for size in (camera.declared, camera.recorded))
        raise Refusal(f"{dataset.info}: {camera.name} has frames of {recorded}, config.json says {declared}, and the policy does not resize: it is another data set, or was recorded anew")


def camera_part(camera, transform, normalisation, frame=None, history=1):
    """A camera in policy.json."""
    part = {"name": camera.name}
    if frame is not None:
        part["frame"] = {"width": frame[0], "height": frame[1]}
    part.update(transform=transform, channels="rgb", layout="nchw", history=history, normalisation=normalisation)
    return part


def image_normalisation(checkpoint, camera, options):
    """Of a camera's three channels."""
    return checkpoint.inputs.normalisation(camera.feature, checkpoint.mode("VISUAL"), 3, options.statistics)


def state_parts(checkpoint, dataset, options, history=1, pad_to=None, optional=False, environment=False):
    """The states in policy.json, in the order of the policy's inputs. `optional`: LeRobot runs this kind of policy without
    observation.state; `environment`: it reads the environment's state."""
    states = features_of(checkpoint, "input_features", "STATE")
    extra = [name for name in states if name != STATE]
    if extra:
        raise Refusal(f"{checkpoint.folder}/config.json: input_features has the state {extra[0]}; LeRobot's policies read {STATE} alone")
    environments = features_of(checkpoint, "input_features", "ENV")
    extra = [name for name in environments if name != ENVIRONMENT or not environment]
    if extra:
        more = f"reads {ENVIRONMENT} alone" if environment else "does not read it"
        raise Refusal(f"{checkpoint.folder}/config.json: input_features has the environment's state {extra[0]}; {checkpoint.kind} {more}")
    if not states and not optional:
        raise Refusal(f"{checkpoint.folder}/config.json: input_features has no {STATE}, without which LeRobot's {checkpoint.kind} does not run")
    known = {*dataset.cameras(), *states, *environments}
    for name in dataset.features:
        if name.startswith("observation.") and name not in known and name not in options.ignore:
            raise Refusal(f"{dataset.info}: has {name}, which the policy does not read; say --ignore {name}")
    parts = [state_part(checkpoint, dataset, options, STATE, "STATE", shape, history) for shape in states.values()]
    parts += [state_part(checkpoint, dataset, options, ENVIRONMENT, "ENV", shape, history) for shape in environments.values()]
    for part in parts:
        count = len(part["names"])
        if pad_to is not None and pad_to != count:
            if pad_to < count:
                raise Refusal(f"{checkpoint.folder}/config.json: max_state_dim is {pad_to}, the state has {count} values")
            part["pad_to"] = pad_to
    return parts


def state_part(checkpoint, dataset, options, feature, kind, shape, history):
    """One state in policy.json."""
    names = dataset.names(feature)
    if shape != (len(names),):
        raise Refusal(f"{checkpoint.folder}/config.json: {feature} has the shape {list(shape)}, the data set names {len(names)} values ({listed(names)})")
    return {
        "name": feature,
        "names": names,
        "units": [unit(name, feature, dataset, options) for name in names],
        "history": history,
        "normalisation": checkpoint.inputs.normalisation(feature, checkpoint.mode(kind), len(names), options.statistics),
    }


def state_inputs(states):
    """Value of each state by its tensor in a graph."""
    tensors = {STATE: "state", ENVIRONMENT: "environment"}
    return {tensors[state["name"]]: state["name"] for state in states}


def check_sees(checkpoint, cameras, states):
    """For policies that may lack cameras: LeRobot needs one, or the environment's state."""
    if not cameras and all(state["name"] != ENVIRONMENT for state in states):
        raise Refusal(f"{checkpoint.folder}/config.json: input_features has neither a camera nor {ENVIRONMENT}")


def action_part(checkpoint, dataset, options, source, chunk, execute, first=0, width=None):
    """The action in policy.json."""
    actions = features_of(checkpoint, "output_features", "ACTION")
    if list(actions) != [ACTION]:
        raise Refusal(f"{checkpoint.folder}/config.json: output_features holds the actions {listed(actions)}; one named action is needed")
    names = dataset.names(ACTION)
    if actions[ACTION] != (len(names),):
        raise Refusal(f"{checkpoint.folder}/config.json: action has the shape {list(actions[ACTION])}, the data set names {len(names)} values ({listed(names)})")
    check_declared_names(checkpoint, names)
    if options.execute is not None:
        if not 1 <= options.execute <= chunk:
            raise Refusal(f"--execute {options.execute}: the chunk has {chunk} steps")
        execute = options.execute
    if execute > chunk:
        raise Refusal(f"{checkpoint.folder}/config.json: n_action_steps is {execute}, but only {chunk} steps from the newest observation on are predicted; say --execute N")
    if width is not None and width < len(names):
        raise Refusal(f"{checkpoint.folder}/config.json: max_action_dim is {width}, the action has {len(names)} values")
    space = options.space
    if space is None:
        other = [name for name in names if not name.endswith(".pos")]
        if other:
            raise Refusal(f"{dataset.info}: action names {other[0]}, and the data set does not say what it is to the robot; say --space {'|'.join(SPACES)}")
        space = "joint_position"
    normalisation = checkpoint.outputs.normalisation(ACTION, checkpoint.mode("ACTION"), len(names), options.statistics)
    return {
        "from": source,
        "space": space,
        # A change is always one of the target before.
        "reference": "absolute" if space == "joint_position" else "relative",
        "names": names,
        "units": [unit(name, ACTION, dataset, options) for name in names],
        "chunk": chunk,
        "first": first,
        "execute": execute,
        "width": len(names) if width is None else width,
        "normalisation": normalisation,
        "threshold": {},
    }


def check_declared_names(checkpoint, names):
    """Newer checkpoints list the names themselves; LeRobot takes the data set's order, so that another order permutes the joints."""
    declared = checkpoint.config.get("action_feature_names")
    if declared is not None and list(declared) != names:
        raise Refusal(f"{checkpoint.folder}/config.json: action_feature_names is {listed(declared)}, the data set has {listed(names)}: another order or another data set")


def unit(name, feature, dataset, options):
    """The unit of a joint: what an option says, else what LeRobot's names say; nothing else."""
    for key in (f"{feature}/{name}", name, "*"):
        if key in options.units:
            return options.units[key]
    if name == "gripper.pos" or name.endswith("_gripper.pos"):
        return "percent"
    if name.endswith(".pos"):
        if options.joint_units is None:
            raise Refusal(f"{dataset.info}: {feature} has {name}, and the data set does not say in which unit; say --joint-units degrees (the robot was recorded with use_degrees) or --joint-units range (-100 to 100)")
        return JOINT_UNITS[options.joint_units]
    raise Refusal(f"{dataset.info}: {feature} has {name}, and the data set does not say in which unit; say --unit '{name}=UNIT' or --unit '*=UNIT' with one of: {listed(UNITS)}")


def licence(checkpoint, options):
    """SPDX expression of the weights' licence."""
    known = {"apache-2.0": "Apache-2.0", "mit": "MIT", "cc-by-4.0": "CC-BY-4.0", "cc-by-sa-4.0": "CC-BY-SA-4.0", "cc-by-nc-4.0": "CC-BY-NC-4.0", "cc0-1.0": "CC0-1.0", "gemma": "LicenseRef-Gemma"}
    if options.licence is not None:
        return options.licence
    held = checkpoint.config.get("license")
    if held in known:
        return known[held]
    raise Refusal(f"{checkpoint.folder}/config.json: license is {held}; say --licence SPDX, such as Apache-2.0")


def affine(scale, offset):
    """The same affine map of each channel."""
    return {"affine": {"scale": shortest([scale] * 3), "offset": shortest([offset] * 3)}}
