"""SmolVLA: an image encoder, a prefix that turns images, text and state into keys and values, and the action expert's step.

What the step reads of the prefix is computed once per observation: the projections of its cross attentions, positions, masks.
"""

import math

import torch
from torch import nn

from . import lerobot_reference, text, wiring
from .checkpoint import load
from .layers import MASKED, RmsNorm, TimeEmbedding, attend, join_heads, linear, repeat_heads, rotate, rotation, split_heads
from .plan import Plan, Stage
from .refusal import Refusal
from .vision import VisionTower, together


class Vision(nn.Module):
    """(image, ...) -> features [1, cameras * tokens, D]."""

    def __init__(self, vlm, size):
        super().__init__()
        model = vlm.get_vlm_model()
        config = vlm.config.vision_config
        self.tower = VisionTower(model.vision_model.state_dict(), "", config.num_attention_heads, config.layer_norm_eps, positions(model.vision_model.embeddings, size))
        self.group = vlm.config.scale_factor
        self.project = linear(model.connector.modality_projection.proj.weight)
        self.scale = vlm.config.text_config.hidden_size**0.5

    def forward(self, *images):
        x = self.tower(together(images))
        count, patches, width = (int(size) for size in x.shape)
        side, group = int(patches**0.5), self.group
        # Each group x group square of patches becomes one token.
        x = x.reshape(count, side // group, group, side // group, group * width).transpose(2, 3)
        x = x.reshape(1, count * patches // group**2, group * group * width)
        return self.project(x) * self.scale


def positions(embeddings, size):
    """The position codes of a whole image, as the model's own code picks them."""

    class Rows(nn.Module):
        def forward(self, rows):
            self.rows = rows
            return torch.zeros(*rows.shape, embeddings.embed_dim)

    held, embeddings.position_embedding = embeddings.position_embedding, Rows()
    try:
        width, height = size
        patch = embeddings.patch_size
        with torch.no_grad():
            embeddings(torch.zeros(1, 3, height, width), torch.ones(1, height // patch, width // patch, dtype=torch.bool))
        rows = embeddings.position_embedding.rows[0]
    finally:
        embeddings.position_embedding = held
    return held.weight[rows]


class Layer(nn.Module):
    """A Llama layer; the keys and values may come from elsewhere."""

    def __init__(self, source, heads, epsilon):
        super().__init__()
        attention, mlp = source.self_attn, source.mlp
        self.heads, self.width = heads, attention.head_dim
        self.query, self.key, self.value, self.out = (linear(part.weight, part.bias) for part in (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj))
        self.gate, self.up, self.down = (linear(part.weight, part.bias) for part in (mlp.gate_proj, mlp.up_proj, mlp.down_proj))
        self.norm1, self.norm2 = (RmsNorm(norm.weight, epsilon) for norm in (source.input_layernorm, source.post_attention_layernorm))

    def keys(self, x):
        return split_heads(self.key(x), self.key.out_features // self.width)

    def values(self, x):
        return split_heads(self.value(x), self.value.out_features // self.width)

    def finish(self, x, query, key, value, **masks):
        groups = self.heads * self.width // self.key.out_features
        x = x + self.out(join_heads(attend(query, repeat_heads(key, groups), repeat_heads(value, groups), **masks)))
        y = self.norm2(x)
        return x + self.down(nn.functional.silu(self.gate(y)) * self.up(y))


class Prefix(nn.Module):
    """(features, tokens, mask, state) -> keys and values [layers, heads, S, d], bias [1, 1, T, S + T]; cosine and sine [T, d / 2], where
    a layer of the expert attends to itself. `empty`: cameras that LeRobot masks, but for the special tokens around them.

    A layer's keys and values are the VLM's where the expert attends to them beside its own, and the expert's projections of them
    where it attends to them alone. Tokens that are padding come right of the text, so only the state's position follows from the mask.
    """

    def __init__(self, model, cameras, empty):
        super().__init__()
        vlm, config = model.vlm_with_expert, model.config
        head = vlm.config.text_config.head_dim
        epsilon = vlm.config.text_config.rms_norm_eps
        self.chunk, self.cameras, self.empty = config.chunk_size, cameras, empty
        self.embed = nn.Embedding.from_pretrained(vlm.get_vlm_model().text_model.embed_tokens.weight.detach().float())
        self.scale = math.sqrt(self.embed.embedding_dim)
        self.state = linear(model.state_proj.weight, model.state_proj.bias)
        self.special = config.add_image_special_tokens
        if self.special:
            self.register_buffer("before", self.embed(model.global_image_start_token)[None])
            self.register_buffer("after", self.embed(model.image_end_token)[None])
        vlm_layers, expert_layers = vlm.get_model_layers([vlm.get_vlm_model().text_model, vlm.lm_expert])
        self.layers = nn.ModuleList(Layer(layer, vlm.num_attention_heads, epsilon) for layer in vlm_layers)
        self.rotates = attends_itself(config, expert_layers)
        self.projections = nn.ModuleList()
        self.reads = [expert is not None for expert in expert_layers]
        for index, expert in enumerate(expert_layers):
            cross = expert is not None and is_cross(config, index)
            self.projections.append(nn.ModuleList([linear(expert.self_attn.k_proj.weight, expert.self_attn.k_proj.bias), linear(expert.self_attn.v_proj.weight, expert.self_attn.v_proj.bias)]) if cross else nn.ModuleList())
        tokens = config.tokenizer_max_length
        width, height = config.resize_imgs_with_padding
        each = width * height // (vlm.config.vision_config.patch_size * vlm.config.scale_factor) ** 2
        self.images = cameras * each + ((cameras + empty) * 3 if self.special else 0)
        length = self.images + tokens + 1
        cosine, sine = rotation(range(length + self.chunk), head)
        self.register_buffer("cosine", cosine)
        self.register_buffer("sine", sine)
        # Images and text do not see the state, which comes last.
        sees = torch.ones(length, length, dtype=torch.bool)
        sees[:-1, -1] = False
        self.register_buffer("sees", sees[None, None])
        causal = torch.triu(torch.full((self.chunk, self.chunk), MASKED), diagonal=1)
        self.register_buffer("causal", causal[None, None])
        self.register_buffer("steps", torch.arange(self.chunk, dtype=torch.float32))

    def image_tokens(self, features):
        if not self.special:
            return [features]
        parts = [part for image in features.chunk(self.cameras, dim=1) for part in (self.before, image, self.after)]
        return [*parts, *(self.before, self.after) * self.empty]

    def forward(self, features, tokens, mask, state):
        x = torch.cat([*self.image_tokens(features), self.embed(tokens) * self.scale, self.state(state)[:, None]], dim=1)
        place = self.images + mask.to(torch.float32).sum(dim=1)
        constant, last = int(x.shape[1]) - 1, place.to(torch.int32)
        cosine, sine = (torch.cat([table[:constant], table.index_select(0, last)]) for table in (self.cosine, self.sine))
        here = torch.cat([torch.ones(1, self.images, dtype=torch.bool), mask, torch.ones(1, 1, dtype=torch.bool)], dim=1)[:, None, None]
        allowed = here & self.sees
        keys, values = [], []
        for index, layer in enumerate(self.layers):
            y = layer.norm1(x)
            key, value = rotate(layer.keys(y), cosine, sine), layer.values(y)
            if self.reads[index]:
                kept = (key, value)
                if len(self.projections[index]):
                    heads = int(key.shape[1])
                    kept = (split_heads(project(join_heads(part)), heads) for project, part in zip(self.projections[index], kept))
                for held, part in zip((keys, values), kept):
                    held.append(part)
            if index + 1 < len(self.layers):
                query = rotate(split_heads(layer.query(y), layer.heads), cosine, sine)
                x = layer.finish(x, query, key, value, allowed=allowed)
        hidden = torch.where(here, 0.0, MASKED)
        bias = torch.cat([hidden.expand(1, 1, self.chunk, int(hidden.shape[-1])), self.causal], dim=-1)
        made = (torch.cat(keys), torch.cat(values), bias)
        if not self.rotates:
            return made
        after = (place + 1 + self.steps).to(torch.int32)
        return *made, self.cosine.index_select(0, after), self.sine.index_select(0, after)


def is_cross(config, index):
    """Whether the expert's layer attends to the prefix alone."""
    every = config.self_attn_every_n_layers
    return "cross" in config.attention_mode and not (every > 0 and index % every == 0)


def attends_itself(config, experts):
    """Whether a layer of the expert attends to the chunk beside the prefix."""
    return any(expert is not None and not is_cross(config, index) for index, expert in enumerate(experts))


class Step(nn.Module):
    """(sample [1, T, A], time [1], keys, values, bias[, cosine, sine]) -> velocity [1, T, A]."""

    def __init__(self, model):
        super().__init__()
        vlm, config = model.vlm_with_expert, model.config
        epsilon = vlm.lm_expert.config.rms_norm_eps
        self.time = TimeEmbedding(vlm.expert_hidden_size, config.min_period, config.max_period)
        self.inward, self.mix, self.mixed, self.outward = (linear(part.weight, part.bias) for part in (model.action_in_proj, model.action_time_mlp_in, model.action_time_mlp_out, model.action_out_proj))
        _, experts = vlm.get_model_layers([vlm.get_vlm_model().text_model, vlm.lm_expert])
        held = [(index, expert) for index, expert in enumerate(experts) if expert is not None]
        self.layers = nn.ModuleList(Layer(expert, vlm.num_attention_heads, epsilon) for _, expert in held)
        self.cross = [is_cross(config, index) for index, _ in held]
        self.norm = RmsNorm(vlm.lm_expert.norm.weight, epsilon)
        # Beside the prefix alone, positions count from 0.
        cosine, sine = rotation(range(config.chunk_size), vlm.config.text_config.head_dim)
        self.register_buffer("own_cosine", cosine)
        self.register_buffer("own_sine", sine)

    def forward(self, sample, time, keys, values, bias, cosine=None, sine=None):
        chunk = int(sample.shape[1])
        x = self.inward(sample)
        moment = self.time(time)[:, None].expand(1, chunk, int(x.shape[-1]))
        x = self.mixed(nn.functional.silu(self.mix(torch.cat([x, moment], dim=2))))
        prefix = int(keys.shape[2])
        hidden = bias[:, :, :1, :prefix]
        for index, layer in enumerate(self.layers):
            y = layer.norm1(x)
            query = split_heads(layer.query(y), layer.heads)
            key, value = keys[index : index + 1], values[index : index + 1]
            if self.cross[index]:
                x = layer.finish(x, rotate(query, self.own_cosine, self.own_sine), key, value, bias=hidden)
            else:
                key = torch.cat([key, rotate(layer.keys(y), cosine, sine)], dim=2)
                value = torch.cat([value, layer.values(y)], dim=2)
                x = layer.finish(x, rotate(query, cosine, sine), key, value, bias=bias)
        return self.outward(self.norm(x))


def build(config, vlm_folder, tokenizer):
    """LeRobot's policy with random weights, in f32, from the VLM's configuration alone."""
    from lerobot.policies.smolvla import smolvlm_with_expert
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

    class Processor:
        """Of the VLM's processor LeRobot's policy reads two token numbers."""

        class tokenizer:  # noqa: N801
            fake_image_token_id = tokenizer.convert_tokens_to_ids("<fake_token_around_image>")
            global_image_token_id = tokenizer.convert_tokens_to_ids("<global-img>")

        @staticmethod
        def from_pretrained(_):
            return Processor

    config.vlm_model_name, config.load_vlm_weights = str(vlm_folder), False
    held, smolvlm_with_expert.AutoProcessor = smolvlm_with_expert.AutoProcessor, Processor
    try:
        return SmolVLAPolicy(config).float().eval()
    finally:
        smolvlm_with_expert.AutoProcessor = held


def stages(policy, cameras, images, empty=0):
    """The three stages. `images`: value by tensor of the graph. `empty`: cameras that LeRobot masks."""
    model, config = policy.model, policy.config
    size = config.resize_imgs_with_padding
    loop = {
        "flow": {"steps": config.num_steps, "from": 1.0, "to": 0.0, "velocity": "velocity", "time": "scalar"},
        "sample": {"shape": [1, config.chunk_size, config.max_action_dim], "noise": {"normal": {"mean": 0.0, "std": 1.0}}},
    }
    prefix = Prefix(model, cameras, empty)
    made = ["keys", "values", "bias", *(["cosine", "sine"] if prefix.rotates else [])]
    return [
        Stage("vision", "observation", Vision(model.vlm_with_expert, size), images, ["features"]),
        Stage("prefix", "observation", prefix, {"features": "vision.features", "tokens": "tokens", "mask": "mask", "state": wiring.STATE}, made),
        Stage("step", "loop", Step(model), {"sample": "loop.sample", "time": "loop.time", **{name: f"prefix.{name}" for name in made}}, ["velocity"], loop),
    ]


def check_config(checkpoint, config):
    """What policy.json cannot say, and with what LeRobot itself does not run."""
    source = f"{checkpoint.folder}/config.json"
    if config.adapt_to_pi_aloha:
        raise Refusal(f"{source}: adapt_to_pi_aloha turns joints of an Aloha inside the policy, which policy.json cannot say")
    if not config.use_cache:
        raise Refusal(f"{source}: use_cache is false, with which LeRobot's SmolVLA does not run")
    width, height = config.resize_imgs_with_padding
    if width != height:
        raise Refusal(f"{source}: resize_imgs_with_padding is [{width}, {height}]; the image encoder needs a square")


def check_layers(checkpoint, policy):
    """LeRobot's layers that attend to themselves need a layer of the expert."""
    model, config = policy.model, policy.config
    vlm = model.vlm_with_expert
    _, experts = vlm.get_model_layers([vlm.get_vlm_model().text_model, vlm.lm_expert])
    for index, expert in enumerate(experts):
        if expert is None and not is_cross(config, index):
            raise Refusal(f"{checkpoint.folder}/config.json: num_expert_layers is {config.num_expert_layers}, so that layer {index} has no expert, where self_attn_every_n_layers {config.self_attn_every_n_layers} needs one")
    patch = vlm.config.vision_config.patch_size * vlm.config.scale_factor
    if config.resize_imgs_with_padding[0] % patch:
        raise Refusal(f"{checkpoint.folder}/config.json: resize_imgs_with_padding is {list(config.resize_imgs_with_padding)}, no multiple of the {patch} pixels that become one token")


def plan(checkpoint, dataset, options, folders):
    """SmolVLA's plan."""
    if "resize_imgs_with_padding" in checkpoint.config and checkpoint.config["resize_imgs_with_padding"] is None:
        raise Refusal(f"{checkpoint.folder}/config.json: resize_imgs_with_padding is null; a size is needed")
    config = checkpoint.policy_config(options.ignore_field, compile_model=False)
    check_config(checkpoint, config)
    if checkpoint.mode("VISUAL") != "IDENTITY":
        raise Refusal(f"{checkpoint.folder}/config.json: normalization_mapping has {checkpoint.mode('VISUAL')} for VISUAL; SmolVLA's own x * 2 - 1 needs IDENTITY")
    vlm = folders["vlm"]
    if vlm is None or not (vlm / "config.json").is_file():
        raise Refusal(f"--vlm is missing or has no config.json: give the folder of {config.vlm_model_name} (config.json and tokenizer; its weights are in the checkpoint)")
    tokens = text.read(folders["tokenizer"] or vlm, "--tokenizer", str(config.vlm_model_name))
    cameras = wiring.cameras(checkpoint, dataset, options, may_lack=True)
    if not cameras:
        raise Refusal(f"{checkpoint.folder}/config.json: input_features has no camera")
    states = wiring.state_parts(checkpoint, dataset, options, pad_to=config.max_state_dim)
    action = wiring.action_part(checkpoint, dataset, options, "step.sample", config.chunk_size, config.n_action_steps, width=config.max_action_dim)
    written = text.part(checkpoint, tokens, "{instruction}\n", ["strip_final_newline"], config.tokenizer_max_length)
    config.tokenizer_max_length = written["max_tokens"]
    policy = build(config, vlm, tokens.fast)
    check_layers(checkpoint, policy)
    text.check_vocabulary(tokens, policy.model.vlm_with_expert.config.text_config.vocab_size)
    load(policy, with_embedding(checkpoint.weights), checkpoint.folder, unused=("model.vlm_with_expert.vlm.lm_head.weight",))
    width, height = config.resize_imgs_with_padding
    resize = {"resize": {"width": width, "height": height, "fit": "pad", "filter": "bilinear", "antialias": False, "on": "floats", "pad": {"horizontal": "left", "vertical": "top", "value": 0.0}}}
    observations = {
        "cameras": [wiring.camera_part(camera, [resize], wiring.affine(2.0, -1.0)) for camera in cameras],
        "states": states,
        "text": written,
    }
    run = lerobot_reference.Runner(checkpoint, policy, config, cameras, options, tokens.folder)
    shape = (1, config.chunk_size, config.max_action_dim)
    empty = min(len(config.image_features) - len(cameras), config.empty_cameras)
    parts = stages(policy, len(cameras), {camera.tensor: camera.name for camera in cameras}, empty)
    return Plan(observations, parts, action, lambda observation: run.chunk(observation, noise=observation.noise().draw(shape)), "SmolVLA (LeRobot)", tokens.content)


def with_embedding(weights):
    """A tied embedding is saved once, under either name."""
    name, other = "model.vlm_with_expert.vlm.model.text_model.embed_tokens.weight", "model.vlm_with_expert.vlm.lm_head.weight"
    return {**weights, name: weights[other]} if name not in weights and other in weights else weights
