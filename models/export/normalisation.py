"""Statistics of a checkpoint, wherever its version of LeRobot kept them, and the normalisation that they make."""

import re

import numpy as np

from .refusal import Refusal, listed

EPSILON = 1e-8
BUFFER = "buffer_"
# What each mode of LeRobot needs, and the mode of policy.json with the names of its two lists.
MODES = {
    "MEAN_STD": (("mean", "std"), "mean_std", ("mean", "std")),
    "MIN_MAX": (("min", "max"), "min_max", ("min", "max")),
    "QUANTILES": (("q01", "q99"), "quantiles", ("low", "high")),
    "QUANTILE10": (("q10", "q90"), "quantiles", ("low", "high")),
}
# Buffers inside a model: normalize_inputs.buffer_observation_state.mean, with a data set's name in it:
# normalize_inputs.so100.buffer_observation_state.mean.
IN_MODEL = re.compile(
    r"^(?:model\.)?(?P<module>normalize_inputs|normalize_targets|unnormalize_outputs)\.(?:(?P<group>[\w-]+?)[._])?(?P<buffer>buffer)[._](?P<feature>.+)\.(?P<stat>\w+)$"
)
# Keys of a processor: observation.state.mean, with a data set's name before it: so100.buffer.action.mean.
IN_PROCESSOR = re.compile(r"^(?:(?:(?P<group>[\w-]+?)[._])?(?P<buffer>buffer)[._])?(?P<feature>.+)\.(?P<stat>\w+)$")


def is_buffer(key):
    """Whether a tensor of model.safetensors holds a statistic and no weight."""
    return IN_MODEL.match(key) is not None


class Statistics:
    """Statistics by feature and name, per group: the data set that they were taken of. Those of buffers are under `of_buffer(feature)`.
    `epsilon` and `features` are those of the processor's step: LeRobot normalises no other feature."""

    def __init__(self, source, epsilon=EPSILON, features=None):
        self.source, self.epsilon, self.listed = source, epsilon, features
        self.groups = {}

    @property
    def has_buffers(self):
        """Whether they have names that LeRobot's processors do not know."""
        return any(feature.startswith(BUFFER) for features in self.groups.values() for feature in features)

    def find(self, feature, group):
        """The statistics of a feature; `None` where there are none."""
        features = self.features(group)
        return features.get(feature) or features.get(of_buffer(feature))

    def features(self, group):
        """The statistics by feature; where there are several groups, those of the one that is asked for."""
        if not self.groups:
            raise Refusal(f"{self.source}: holds no statistics; give a checkpoint with its processors (policy_preprocessor.json and its safetensors)")
        if group is None and len(self.groups) > 1:
            raise Refusal(f"{self.source}: holds statistics of several data sets ({listed(sorted(self.groups, key=str))}); choose one with --statistics NAME")
        if group is None:
            return next(iter(self.groups.values()))
        if group not in self.groups:
            raise Refusal(f"{self.source}: holds no statistics of {group!r}; --statistics takes one of: {listed(map(str, self.groups))}")
        return self.groups[group]

    def normalisation(self, feature, mode, count, group=None):
        """The `normalisation` of policy.json for a feature of `count` values."""
        if mode == "IDENTITY":
            return {"identity": {}}
        if mode not in MODES:
            raise Refusal(f"config.json: normalization_mapping has the unknown mode {mode}; known are {listed([*MODES, 'IDENTITY'])}")
        if self.listed is not None and feature not in self.listed:
            raise Refusal(f"{self.source}: its step lists no feature {feature} (it lists {listed(self.listed)}), so that LeRobot would skip the normalisation {mode} of config.json")
        needed, name, fields = MODES[mode]
        held = self.find(feature, group)
        if held is None:
            features = self.features(group)
            raise Refusal(f"{self.source}: holds no statistics of {feature}, which {mode} needs (LeRobot would skip its normalisation); it holds {listed(features)}")
        result = {}
        for stat, field in zip(needed, fields):
            if stat not in held:
                raise Refusal(f"{self.source}: {feature} has no {stat}, which {mode} needs; it has {listed(held)}")
            values = held[stat].reshape(-1)
            if len(values) != count:
                raise Refusal(f"{self.source}: {feature}.{stat} has {len(values)} values instead of {count}")
            if not np.isfinite(values).all():
                raise Refusal(f"{self.source}: {feature}.{stat} is not finite: these statistics were never filled in; train or convert the checkpoint with its data set's statistics")
            result[field] = shortest(values)
        if (spread := result.get("std")) and min(spread) < 0:
            raise Refusal(f"{self.source}: {feature}.std is negative")
        result["epsilon"] = self.epsilon
        return {name: result}


def of_buffer(feature):
    """The name that a feature has as a buffer, where old versions wrote underscores for dots."""
    return BUFFER + feature.replace(".", "_")


def shortest(values):
    """f32 numbers with as few digits as give them back."""
    return [float(np.format_float_scientific(value, unique=True)) for value in np.asarray(values, np.float32)]


def of_model(weights, source):
    """The statistics inside model.safetensors."""
    statistics = Statistics(source)
    for key, value in weights.items():
        if match := IN_MODEL.match(key):
            add_once(statistics, match, value)
    return statistics


def of_processor(tensors, source, **step):
    """The statistics of a processor's safetensors."""
    statistics = Statistics(source, **step)
    for key, value in tensors.items():
        match = IN_PROCESSOR.match(key)
        if match is None:
            raise Refusal(f"{source}: the key {key} is no FEATURE.STATISTIC")
        add_once(statistics, match, value)
    return statistics


def add_once(statistics, match, value):
    """Inputs and outputs may both hold a feature: twice the same is one, twice another is a fault."""
    group, feature, stat = match["group"], match["feature"], match["stat"]
    name = of_buffer(feature) if match["buffer"] else feature
    stats = statistics.groups.setdefault(group, {}).setdefault(name, {})
    value = np.asarray(value, np.float32)
    if stat in stats and not np.array_equal(stats[stat], value, equal_nan=True):
        raise Refusal(f"{statistics.source}: holds {feature}.{stat} twice, with different values")
    stats[stat] = value
