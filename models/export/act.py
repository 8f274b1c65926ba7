"""ACT: one graph from images and joints to a chunk of actions.

What does not follow from the observation is computed here, once: position codes, the token of the latent (0 at inference), and the
decoder's first layer up to its cross attention, whose input is constant.
"""

import copy

import torch
from torch import nn

from . import lerobot_reference, wiring
from .checkpoint import load
from .layers import MultiHead, attend, fold_frozen_norms, join_heads
from .plan import Plan, Stage
from .refusal import Refusal


class EncoderLayer(nn.Module):
    def __init__(self, source):
        super().__init__()
        self.attention = MultiHead(source.self_attn)
        self.source = source

    def forward(self, x, positions):
        source = self.source
        y = source.norm1(x) if source.pre_norm else x
        x = x + self.attention(y + positions, y + positions, y)
        if not source.pre_norm:
            x = source.norm1(x)
        y = source.norm2(x) if source.pre_norm else x
        x = x + source.linear2(source.activation(source.linear1(y)))
        return x if source.pre_norm else source.norm2(x)


class DecoderLayer(nn.Module):
    """`constant`: the layer's input before the cross attention and its queries, where they do not follow from the observation."""

    def __init__(self, source, positions, constant_input=None):
        super().__init__()
        self.own, self.cross, self.source = MultiHead(source.self_attn), MultiHead(source.multihead_attn), source
        self.register_buffer("positions", positions)
        self.constant = constant_input is not None
        if self.constant:
            with torch.no_grad():
                skip, query = self.before(constant_input)
            self.register_buffer("skip", skip)
            self.register_buffer("query", query)

    def before(self, x):
        source = self.source
        y = source.norm1(x) if source.pre_norm else x
        x = x + self.own(y + self.positions, y + self.positions, y)
        if not source.pre_norm:
            x = source.norm1(x)
        y = source.norm2(x) if source.pre_norm else x
        return x, self.cross.query(y + self.positions)

    def forward(self, x, memory, memory_positions):
        source = self.source
        x, query = (self.skip, self.query) if self.constant else self.before(x)
        y = attend(query, self.cross.key(memory + memory_positions), self.cross.value(memory))
        x = x + self.cross.out(join_heads(y))
        if not source.pre_norm:
            x = source.norm2(x)
        y = source.norm3(x) if source.pre_norm else x
        x = x + source.linear2(source.activation(source.linear1(y)))
        return x if source.pre_norm else source.norm3(x)


class ActGraph(nn.Module):
    """([state,] [environment's state,] image, ...) -> actions [1, chunk, joints], all normalised."""

    def __init__(self, model, cameras):
        super().__init__()
        config = model.config
        model = copy.deepcopy(model).eval()
        vectors = ((config.robot_state_feature, "encoder_robot_state_input_proj"), (config.env_state_feature, "encoder_env_state_input_proj"))
        self.vectors = nn.ModuleList(getattr(model, name) for feature, name in vectors if feature)
        if cameras:
            self.backbone = fold_frozen_norms(model.backbone)
            self.project = model.encoder_img_feat_input_proj
        with torch.no_grad():
            latent = model.encoder_latent_input_proj(torch.zeros(1, config.latent_dim))
            positions = [model.encoder_1d_feature_pos_embed.weight[None]]
            for camera in cameras:
                width, height = camera.declared
                features = self.backbone(torch.zeros(1, 3, height, width))["feature_map"]
                positions.append(flat(model.encoder_cam_feat_pos_embed(features)))
            self.register_buffer("latent", latent[:, None])
            self.register_buffer("positions", torch.cat(positions, dim=1))
            queries = model.decoder_pos_embed.weight[None].clone()
            start = torch.zeros_like(queries)
        self.encoder = nn.ModuleList(EncoderLayer(layer) for layer in model.encoder.layers)
        self.encoder_norm = model.encoder.norm
        self.decoder = nn.ModuleList(DecoderLayer(layer, queries, None if index else start) for index, layer in enumerate(model.decoder.layers))
        self.decoder_norm = model.decoder.norm
        self.head = model.action_head

    def forward(self, *inputs):
        states, images = inputs[: len(self.vectors)], inputs[len(self.vectors) :]
        tokens = [self.latent, *(project(state)[:, None] for project, state in zip(self.vectors, states))]
        tokens += [flat(self.project(self.backbone(image)["feature_map"])) for image in images]
        x = torch.cat(tokens, dim=1)
        for layer in self.encoder:
            x = layer(x, self.positions)
        memory = self.encoder_norm(x)
        x = None
        for layer in self.decoder:
            x = layer(x, memory, self.positions)
        return self.head(self.decoder_norm(x))


def flat(x):
    """[1, C, H, W] -> [1, H * W, C]."""
    _, channels, height, width = x.shape
    return x.reshape(1, int(channels), int(height) * int(width)).transpose(1, 2)


def plan(checkpoint, dataset, options, folders):
    """ACT's plan."""
    from lerobot.policies.act.modeling_act import ACTPolicy

    config = checkpoint.policy_config(options.ignore_field, pretrained_backbone_weights=None)
    if config.temporal_ensemble_coeff is not None and options.execute is None:
        raise Refusal(f"{checkpoint.folder}/config.json: temporal_ensemble_coeff is {config.temporal_ensemble_coeff}: the actions are means over chunks, which policy.json cannot say; say --execute N to run N steps of each chunk without it")
    if config.feedforward_activation not in ("relu", "gelu"):
        raise Refusal(f"{checkpoint.folder}/config.json: feedforward_activation {config.feedforward_activation} is not supported, relu and gelu are")
    cameras = wiring.cameras(checkpoint, dataset, options)
    for camera in cameras:
        wiring.same_size(camera, dataset)
    states = wiring.state_parts(checkpoint, dataset, options, optional=True, environment=True)
    wiring.check_sees(checkpoint, cameras, states)
    policy = ACTPolicy(config)
    load(policy, checkpoint.weights, checkpoint.folder)
    policy.eval()
    inputs = {**wiring.state_inputs(states), **{camera.tensor: camera.name for camera in cameras}}
    observations = {
        "cameras": [wiring.camera_part(camera, [], wiring.image_normalisation(checkpoint, camera, options), frame=camera.declared) for camera in cameras],
        "states": states,
    }
    stage = Stage("act", "observation", ActGraph(policy.model, cameras), inputs, ["actions"])
    action = wiring.action_part(checkpoint, dataset, options, "act.actions", config.chunk_size, config.n_action_steps)
    run = lerobot_reference.Runner(checkpoint, policy, config, cameras, options)
    return Plan(observations, [stage], action, lambda observation: run.chunk(observation), "ACT (LeRobot)")
