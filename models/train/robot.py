"""The robots that policies are trained for: one TOML in robots/ each, and the kinematics of those whose actions are joint angles."""

import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from loop import Refused

ROBOTS = Path(__file__).resolve().parent / "robots"
ARMS = Path(__file__).resolve().parents[2] / "boards" / "arms"


@dataclass
class Camera:
    """`size` of its frames and `crop` (x, y, width, height) in pixels. A fixed camera has a pose: `eye`, the point that it looks `at`
    (m), and the vertical field of view `fov` (rad). `image` is what the crop is resized to; the VLM has a size of its own."""

    name: str
    size: tuple
    crop: tuple
    eye: tuple = ()
    at: tuple = ()
    fov: float = 0.0
    image: tuple = ()

    def project(self, points):
        """World points [n,3] -> (u, v) in 0..1 of the crop."""
        eye, at = np.array(self.eye), np.array(self.at)
        forward = (at - eye) / np.linalg.norm(at - eye)
        right = np.cross(forward, (0, 0, 1.0))
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        d = points - eye
        focal = self.size[1] / 2 / math.tan(self.fov / 2)
        pixels = np.array(self.size) / 2 + focal * np.stack([d @ right, d @ down], -1) / (d @ forward)[:, None]
        x, y, w, h = self.crop
        return (pixels - (x, y)) / (w, h)


@dataclass
class Robot:
    """Names and units as a package has them. `state_noise`: spread of the noise on states in training, in their units. `arm` and
    `base` (x, y, z in m, yaw in rad) where the state is joint angles."""

    name: str
    hz: float
    space: str
    reference: str
    state: list
    state_units: list
    state_noise: float
    action: list
    action_units: list
    front: Camera
    wrist: Camera | None = None
    switches: list = field(default_factory=list)
    arm: str = ""
    base: tuple = ()

    @staticmethod
    def load(name):
        path = ROBOTS / f"{name}.toml"
        if not path.exists():
            raise Refused(f"{path}: no such robot; there are {', '.join(sorted(p.stem for p in ROBOTS.glob('*.toml')))}")
        values = tomllib.loads(path.read_text())
        cameras = {k: Camera(**{n: tuple(v) if isinstance(v, list) else v for n, v in values.pop(k).items()}) for k in ("front", "wrist") if k in values}
        return Robot(name=name, **values, **cameras)

    def moves(self):
        """Which numbers of an action are normalised, 1 or 0 each."""
        return np.array([float(n not in self.switches) for n in self.action])


class Kinematics(nn.Module):
    """Joint angles in degrees from the middle of each joint's range [B,J] -> the tool's position in the world [B,3] (m), the direction
    in which it reaches [B,3], and the first joint's heading (cosine, sine) [B,2]."""

    def __init__(self, robot):
        super().__init__()
        arm = tomllib.loads((ARMS / f"{robot.arm}.toml").read_text())
        joints = arm["joint"]
        axes = torch.tensor([j["axis"] for j in joints])
        cross = torch.zeros(len(joints), 3, 3)
        cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -axes[:, 2], axes[:, 1], -axes[:, 0]
        cross = cross - cross.transpose(1, 2)
        # Rodrigues: R = 1 + sin K + (1 - cos) K^2.
        self.register_buffer("sine", cross, persistent=False)
        self.register_buffer("rest", cross @ cross, persistent=False)
        self.register_buffer("offset", torch.tensor([j["offset_m"] for j in joints]), persistent=False)
        self.register_buffer("tool", torch.tensor(arm["tool"]["offset_m"]), persistent=False)
        self.register_buffer("middle", torch.tensor([(j["min_rad"] + j["max_rad"]) / 2 for j in joints]), persistent=False)
        x, y, z, yaw = robot.base
        turn = torch.tensor([[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
        self.register_buffer("base", torch.tensor([x, y, z]), persistent=False)
        self.register_buffer("turn", turn, persistent=False)
        self.joints = len(joints)

    def forward(self, degrees):
        angles = degrees[:, : self.joints] * (math.pi / 180) + self.middle
        sine, cosine = torch.sin(angles), torch.cos(angles)
        turn, position = self.turn[None], self.base[None]
        heading = None
        for j in range(self.joints):
            position = position + (turn @ self.offset[j][:, None])[:, :, 0]
            by = torch.eye(3, device=degrees.device) + sine[:, j, None, None] * self.sine[j] + (1 - cosine[:, j, None, None]) * self.rest[j]
            turn = turn @ by
            heading = turn[:, :2, 0] if j == 0 else heading
        return position + (turn @ self.tool[:, None])[:, :, 0], turn[:, :, 0], heading
