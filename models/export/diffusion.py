"""Diffusion Policy: a graph that makes a condition of the observations, and the U-Net's step, which runs in a loop."""

import copy

import torch
from torch import nn

from . import lerobot_reference, wiring
from .checkpoint import load
from .interpreter import drawn_from
from .plan import Plan, Stage
from .refusal import Refusal

BETAS = ("squaredcos_cap_v2", "linear", "scaled_linear")


class Condition(nn.Module):
    """(state, [environment's state,] image, ...), each with its history, -> condition [1, C]. Images come resized and cropped."""

    def __init__(self, model):
        super().__init__()
        self.encoders = copy.deepcopy(model.rgb_encoder).eval() if model.config.image_features else None
        self.separate = isinstance(self.encoders, nn.ModuleList)
        self.history = model.config.n_obs_steps
        self.states = 2 if model.config.env_state_feature else 1

    def encode(self, encoder, images):
        features = encoder.pool(encoder.backbone(images)).flatten(1)
        return encoder.relu(encoder.out(features))

    def forward(self, *inputs):
        state, *environment = (vector.reshape(self.history, -1) for vector in inputs[: self.states])
        images = [image.reshape(self.history, *image.shape[-3:]) for image in inputs[self.states :]]
        if self.separate:
            features = [self.encode(encoder, image) for encoder, image in zip(self.encoders, images, strict=True)]
        else:
            features = list(self.encode(self.encoders, torch.cat(images)).split(self.history)) if images else []
        return torch.cat([state, *features, *environment], dim=1).reshape(1, -1)


class TimeTable(nn.Module):
    """What the time's encoder gives for each of the training's steps: it follows from the time alone."""

    def __init__(self, encoder, steps):
        super().__init__()
        with torch.no_grad():
            self.register_buffer("table", encoder(torch.arange(steps)))

    def forward(self, time):
        return self.table[time]


class Step(nn.Module):
    """(sample [1, T, A], time [1], condition [1, C]) -> prediction [1, T, A]."""

    def __init__(self, model):
        super().__init__()
        self.unet = copy.deepcopy(model.unet).eval()
        self.unet.diffusion_step_encoder = TimeTable(self.unet.diffusion_step_encoder, model.config.num_train_timesteps)

    def forward(self, sample, time, condition):
        return self.unet(sample, time, global_cond=condition)


def transforms(config):
    """What LeRobot's encoder does to an image before its network. The normalisation, which comes before it there, is affine and commutes."""
    steps = []
    if config.resize_shape is not None:
        height, width = config.resize_shape
        steps.append({"resize": {"width": width, "height": height, "fit": "stretch", "filter": "bilinear", "antialias": True, "on": "floats"}})
    if config.crop_shape is not None:
        height, width = config.crop_shape
        steps.append({"centre_crop": {"width": width, "height": height}})
    return steps


def check_loop(config, source):
    """What policy.json can say of the sampler."""
    if config.beta_schedule not in BETAS:
        raise Refusal(f"{source}/config.json: beta_schedule {config.beta_schedule} is not supported; supported are {', '.join(BETAS)}")
    steps, train = config.num_inference_steps, config.num_train_timesteps
    if steps is not None and not 1 <= steps <= train:
        raise Refusal(f"{source}/config.json: num_inference_steps is {steps}, must lie between 1 and num_train_timesteps, which is {train}")


def loop(config, joints):
    """The loop of the step in policy.json."""
    ddim = config.noise_scheduler_type == "DDIM"
    train = config.num_train_timesteps
    betas = {
        "squaredcos_cap_v2": lambda: {"squaredcos": {}},
        "linear": lambda: {"linear": {"start": config.beta_start, "end": config.beta_end}},
        "scaled_linear": lambda: {"list": (torch.linspace(config.beta_start**0.5, config.beta_end**0.5, train) ** 2).tolist()},
    }[config.beta_schedule]()
    method = {
        "sampler": "ddim" if ddim else "ddpm",
        "train_steps": train,
        "steps": train if config.num_inference_steps is None else config.num_inference_steps,
        "betas": betas,
        "prediction": config.prediction_type,
        "clip": config.clip_sample_range if config.clip_sample else None,
        "steps_offset": 0,
        "output": "prediction",
    }
    if ddim:
        method["set_alpha_to_one"] = True
    return {"diffusion": method, "sample": {"shape": [1, config.horizon, joints], "noise": {"normal": {"mean": 0.0, "std": 1.0}}}}


def plan(checkpoint, dataset, options, folders):
    """Diffusion's plan."""
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy

    config = checkpoint.policy_config(options.ignore_field, pretrained_backbone_weights=None, compile_model=False)
    cameras = wiring.cameras(checkpoint, dataset, options)
    for camera in cameras:
        wiring.same_size(camera, dataset)
    history = config.n_obs_steps
    states = wiring.state_parts(checkpoint, dataset, options, history=history, environment=True)
    wiring.check_sees(checkpoint, cameras, states)
    check_loop(config, checkpoint.folder)
    # From the current observation to the end of the horizon.
    first = history - 1
    action = wiring.action_part(checkpoint, dataset, options, "step.sample", config.horizon - first, config.n_action_steps, first=first)
    policy = DiffusionPolicy(config)
    load(policy, checkpoint.weights, checkpoint.folder)
    policy.eval()
    observations = {
        "cameras": [
            wiring.camera_part(camera, transforms(config), wiring.image_normalisation(checkpoint, camera, options), frame=camera.declared, history=history)
            for camera in cameras
        ],
        "states": states,
    }
    inputs = {**wiring.state_inputs(states), **{camera.tensor: camera.name for camera in cameras}}
    condition = Stage("vision", "observation", Condition(policy.diffusion), inputs, ["condition"])
    step = Stage(
        "step",
        "loop",
        Step(policy.diffusion),
        {"sample": "loop.sample", "time": "loop.time", "condition": "vision.condition"},
        ["prediction"],
        loop(config, len(action["names"])),
    )
    run = lerobot_reference.Runner(checkpoint, policy, config, cameras, options)
    return Plan(observations, [condition, step], action, lambda observation: reference(run, policy, action, observation), "Diffusion Policy (LeRobot)")


def reference(run, policy, action, observation):
    """LeRobot's actions of the rest of the horizon, with the stream's numbers as its noise."""
    from lerobot.policies.utils import populate_queues

    policy.reset()
    for batch in run.batches(observation):
        if features := policy.config.image_features:
            batch = {**batch, "observation.images": torch.stack([batch[feature] for feature in features], dim=-4)}
        batch.pop("action", None)
        policy._queues = populate_queues(policy._queues, batch)
    noise = observation.noise()
    start = noise.draw((1, policy.config.horizon, len(action["names"])))
    executed, policy.config.n_action_steps = policy.config.n_action_steps, action["chunk"]
    try:
        with drawn_from(noise):
            return run.finish(policy.predict_action_chunk(batch, noise=start))
    finally:
        policy.config.n_action_steps = executed
