"""What a policy becomes: stages with their wiring, and the function that gives LeRobot's own actions."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch


@dataclass
class Stage:
    """One graph. `inputs` maps a tensor of the graph to a value, `module` takes them in this order and returns `outputs`."""

    name: str
    run: str
    module: torch.nn.Module
    inputs: dict
    outputs: list
    loop: dict | None = None
    # Of a loop over tokens: the shape of what it keeps, by name.
    caches: dict = field(default_factory=dict)

    def part(self):
        """The stage in policy.json."""
        part = {"name": self.name, "run": self.run, "inputs": self.inputs, "outputs": self.outputs}
        if self.loop is not None:
            part["loop"] = self.loop
        return part


@dataclass
class Plan:
    """A whole policy. `reference` maps an observation to LeRobot's actions `[chunk, names]`, in the data set's units."""

    observations: dict
    stages: list
    action: dict
    reference: Callable
    origin: str
    tokenizer: str | None = None
    notes: list = field(default_factory=list)
    # Tables of tokens, by the name of their file.
    tables: dict = field(default_factory=dict)

    def caches(self):
        """Shapes of what loops keep, by stage and name."""
        return {stage.name: stage.caches for stage in self.stages}


@dataclass
class Observation:
    """One observation with its history, oldest first, before any normalisation. `noise` draws the next numbers of the noise's stream."""

    frames: dict
    states: dict
    instruction: str | None
    noise_seed: int
    noise_range: tuple = (-1.7, 1.7)

    def noise(self):
        return Noise(self.noise_seed, *self.noise_range)


class Noise:
    """The stream that stands for the noise: docs/policy-package.md, golden values."""

    def __init__(self, seed, low, high):
        self.state, self.low, self.high = seed, low, high

    def draw(self, shape):
        count = int(np.prod(shape))
        numbers = sequence(self.state, count)
        self.state = int(numbers[-1])
        return torch.from_numpy(as_floats(numbers, self.low, self.high)).reshape(tuple(shape))


def sequence(seed, count):
    """`count` numbers x = x * 1664525 + 1013904223 modulo 2^32 after `seed`."""
    with np.errstate(over="ignore"):
        powers = np.cumprod(np.full(count, 1664525, np.uint32), dtype=np.uint32)
        sums = np.cumsum(np.concatenate([np.ones(1, np.uint32), powers[:-1]]), dtype=np.uint32)
        return powers * np.uint32(seed) + sums * np.uint32(1013904223)


def as_floats(numbers, low, high):
    """low + (high - low) * (x >> 8) / 2^24, in f32."""
    share = (numbers >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24)
    return np.float32(low) + (np.float32(high) - np.float32(low)) * share


def frame(seed, width, height):
    """A frame of seeded bytes, `[height, width, 3]`."""
    return (sequence(seed, width * height * 3) >> np.uint32(24)).astype(np.uint8).reshape(height, width, 3)
