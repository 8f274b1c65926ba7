"""Statistics of a checkpoint, wherever its version of LeRobot kept them, and the normalisation that they make."""

import re

import numpy as np

from .refusal import Refusal, listed

EPSILON = 1e-8
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
    r"^(?:model\.)?(?P<module>normalize_inputs|normalize_targets|unnormalize_outputs)\.(?:(?P<group>[\w-]+?)[._])?buffer[._](?P<feature>.+)\.(?P<stat>\w+)$"
)
# Keys of a processor: observation.state.mean, with a data set's name before it: so100.buffer.action.mean.
IN_PROCESSOR = re.compile(r"^(?:(?:(?P<group>[\w-]+?)[._])?buffer[._])?(?P<feature>.+)\.(?P<stat>\w+)$")


def is_buffer(key):
    """Whether a tensor of model.safetensors holds a statistic and no weight."""
    return IN_MODEL.match(key) is not None


class Statistics:
    """Statistics by feature (dots and underscores of its name taken alike) and name, per group: data set that they were taken of."""

    def __init__(self, source):
        self.source = source
        self.groups = {}

    def add(self, group, feature, stat, value):
        self.groups.setdefault(group, {}).setdefault(plain(feature), {})[stat] = np.asarray(value, np.float32)

    def features(self, group):
        """The statistics by feature; where there are several groups, those of the one that is asked for."""
        if not self.groups:
            raise Refusal(f"{self.source}: holds no statistics; give a checkpoint with its processors (policy_preprocessor.json and its safetensors)")
        if group is None and len(self.groups) > 1:
            raise Refusal(f"{self.source}: holds statistics of several data sets ({listed(self.groups)}); choose one with --statistics NAME")
        if group is None:
            return next(iter(self.groups.values()))
        if group not in self.groups:
            raise Refusal(f"{self.source}: holds no statistics of {group!r}; --statistics takes one of: {listed(map(str, self.groups))}")
        return self.groups[group]

    def normalisation(self, feature, mode, count, group=None, epsilon=EPSILON):
        """The `normalisation` of policy.json for a feature of `count` values."""
        if mode == "IDENTITY":
            return {"identity": {}}
        if mode not in MODES:
            raise Refusal(f"config.json: normalization_mapping has the unknown mode {mode}; known are {listed([*MODES, 'IDENTITY'])}")
        needed, name, fields = MODES[mode]
        features = self.features(group)
        held = features.get(plain(feature))
        if held is None:
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
        result["epsilon"] = epsilon
        return {name: result}


def plain(feature):
    """A feature's name with dots and underscores alike: old buffers write observation_images_front."""
    return feature.replace(".", "_")


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


def of_processor(tensors, source):
    """The statistics of a processor's safetensors."""
    statistics = Statistics(source)
    for key, value in tensors.items():
        match = IN_PROCESSOR.match(key)
        if match is None:
            raise Refusal(f"{source}: the key {key} is no FEATURE.STATISTIC")
        add_once(statistics, match, value)
    return statistics


def add_once(statistics, match, value):
    """Inputs and outputs may both hold a feature: twice the same is one, twice another is a fault."""
    group, feature, stat = match["group"], match["feature"], match["stat"]
    held = statistics.groups.get(group, {}).get(plain(feature), {}).get(stat)
    value = np.asarray(value, np.float32)
    if held is not None and not np.array_equal(held, value, equal_nan=True):
        raise Refusal(f"{statistics.source}: holds {feature}.{stat} twice, with different values")
    statistics.add(group, feature, stat, value)
