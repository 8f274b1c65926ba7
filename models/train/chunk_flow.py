"""An action expert for joint angles: flow matching over a chunk whose every action has a time of its own, so that the first ones can be
given as they are (trained real-time chunking, arXiv 2512.05964). Reads the tool's place from the joints and a wrist camera."""

import torch
import torch.nn.functional as F
from torch import nn

from expert import Expert, mlp
from robot import Kinematics
from vlm import ConvBn

# The spread of the noise on given actions, in normalised steps: at run time they are the policy's own, with its mistakes.
PREFIX_NOISE = 0.02


class ChunkFlow(nn.Module):
    """What the trunk tells, a noisy chunk and the time of each of its actions -> the velocity from the actions (time 0) to the noise
    (time 1). Inside, the clean chunk is predicted, from the state on, in steps of what each action's distance from it spreads."""

    def __init__(self, e):
        super().__init__()
        t, a, w = e.chunk, e.action_dim, e.width
        self.e = e
        self.field = mlp(2 * t * a + t + w + a, 512, 512, 512, t * a)
        for name, shape in (("rel_mean", (t, a)), ("rel_std", (t, a)), ("scale", (a,)), ("shift", (a,))):
            self.register_buffer(name, torch.ones(shape) if name in ("rel_std", "scale") else torch.zeros(shape))

    @torch.no_grad()
    def fit(self, demos):
        """From what is recorded: how far actions lie from the state, and the state on the scale of actions."""
        self.scale.copy_(demos.state_std / demos.action_std)
        self.shift.copy_((demos.state_mean - demos.action_mean) / demos.action_std)
        away = demos.chunks - self.start(demos.states)[:, None]
        self.rel_mean.copy_(away.mean(0))
        self.rel_std.copy_(away.std(0).clamp(min=0.02))

    def start(self, state):
        """The state, normalised as actions are."""
        return state * self.scale + self.shift

    def clean(self, told, x, time):
        """[B,W+A], [B,T,A], [B,T] -> the clean chunk [B,T,A] and which actions are given [B,T,1]."""
        start = told[:, None, -self.e.action_dim :]
        known = (1 - time * 1000).clamp(0, 1)[:, :, None]
        away = (x - start - self.rel_mean) / self.rel_std
        seen = torch.cat([(away.clamp(-6, 6) * known).flatten(1), (x * (1 - known)).flatten(1), time, told], -1)
        return start + self.rel_mean + self.rel_std * self.field(seen).reshape(x.shape), known

    def forward(self, told, x, time):
        """The velocity [B,T,A]; 0 where an action is given."""
        clean, known = self.clean(told, x, time)
        return (x - clean) / time[:, :, None].clamp(min=1e-3) * (1 - known)

    def sample(self, told, noise, given=None):
        """Integrates from noise [B,T,A] in equal Euler steps; `given` [B,d,A] stay as they are."""
        steps, x = self.e.flow_steps, noise
        for i in range(steps):
            time = torch.full_like(x[:, :, 0], 1 - i / steps)
            if given is not None:
                x = torch.cat([given, x[:, given.shape[1] :]], 1)
                time[:, : given.shape[1]] = 0
            x = x - self(told, x, time) * (1 / steps)
        return x

    def loss(self, told, truth, codes=None):
        """Mean error of the clean chunk over the actions that are not given."""
        n, t = truth.shape[:2]
        drawn = torch.randint(0, self.e.prefix + 1, (n, 1), device=truth.device)
        length = drawn * (torch.rand(n, 1, device=truth.device) < 0.6)
        given = torch.arange(t, device=truth.device)[None] < length
        time = torch.rand(n, 1, device=truth.device).clamp(min=0.02).expand(n, t)
        noisy = time[:, :, None] * torch.randn_like(truth) + (1 - time[:, :, None]) * truth
        told_prefix = truth + torch.randn_like(truth) * PREFIX_NOISE * self.rel_std
        x = torch.where(given[:, :, None], told_prefix, noisy)
        clean, _ = self.clean(told, x, torch.where(given, torch.zeros_like(time), time))
        error = ((clean - truth) / self.rel_std).abs().mean(-1)
        return (error * ~given).sum() / (~given).sum()


class WristEye(nn.Module):
    """Wrist image [B,3,H,W], normalised -> features [B,F]."""

    def __init__(self, camera, features):
        super().__init__()
        w, h = camera.image
        widths = (16, 32, 48, 64)
        self.stem = nn.ModuleList(ConvBn(a, b, 2) for a, b in zip((3, *widths), widths))
        self.out = nn.Linear(widths[-1] * (-(-h // 16)) * (-(-w // 16)), features)

    def forward(self, x):
        for layer in self.stem:
            x = F.relu(layer(x))
        return F.relu(self.out(x.flatten(1)))


class JointExpert(Expert):
    """Readers, trunk and outputs of an arm whose state and actions are joint angles."""

    VIEW = 64
    # Beside the scaled distances: polar ones about the first joint, the tool's place and direction.
    NEAR = Expert.NEAR + 13

    def __init__(self, c, e, robot):
        if e.kind != "chunk" or not robot.wrist:
            raise ValueError(f"{robot.name}: an expert of joint angles is of kind chunk and has a wrist camera")
        super().__init__(c, e, ChunkFlow(e))
        self.kinematics = Kinematics(robot)
        self.eye = WristEye(robot.wrist, self.VIEW)
        self.register_buffer("centre", torch.tensor(robot.base[:2]), persistent=False)

    def near(self, state, block, card):
        tool, ahead, heading = self.kinematics(state)
        parts = [self.scaled(tool, block, card), tool, ahead, self.radius(tool[:, :2] - self.centre)]
        for place in (block[:, :2], card):
            away = place - self.centre
            radius = self.radius(away)
            along = (away * heading).sum(-1, keepdim=True)
            across = away[:, 1:] * heading[:, :1] - away[:, :1] * heading[:, 1:]
            parts += [radius, along / radius, across / radius]
        return torch.cat(parts, -1)

    @staticmethod
    def radius(away):
        return torch.sqrt((away * away).sum(-1, keepdim=True) + 1e-6)

    def hidden(self, state, *seen, **more):
        """What the trunk tells, and the state as actions are normalised: the outputs need both."""
        return torch.cat([super().hidden(state, *seen, **more), self.outputs.start(state)], -1)


def expert_of(c, e, robot):
    """The expert of a robot: of its joints where the robot has an arm file, else of its tool."""
    return JointExpert(c, e, robot) if robot.arm else Expert(c, e)
