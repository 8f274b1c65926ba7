"""pi0 and pi0.5: an image encoder, a prefix that turns images and text into keys and values, and the action expert's step."""

import math
import re

import torch
from torch import nn

from . import lerobot_reference, pi0_reference, text, versions, wiring
from .gemma import Gemma
from .layers import MASKED, TimeEmbedding, linear, rotation
from .plan import Plan, Stage
from .refusal import Refusal
from .vision import VisionTower, together

PALIGEMMA, EXPERT = "paligemma_with_expert.paligemma.", "paligemma_with_expert.gemma_expert."
# The embedding of tokens, and what turns hidden values into logits: one tensor.
EMBEDDING, HEAD = f"{PALIGEMMA}model.language_model.embed_tokens.weight", f"{PALIGEMMA}lm_head.weight"
TOWER = f"{PALIGEMMA}model.vision_tower.vision_model."
# PaliGemma's image encoder; all other sizes follow from the weights.
VISION_HEADS, VISION_EPSILON = 16, 1e-6
UNUSED = re.compile(r"(lm_head|vision_model\.head)\.")


class Weights:
    """The weights by LeRobot's names without the leading `model.`; keeps which were taken."""

    def __init__(self, checkpoint, renamed):
        self.source = checkpoint.folder
        self.held = {}
        for name, value in checkpoint.weights.items():
            name = name.removeprefix("model.")
            for old, new in renamed.items():
                if name.startswith(old):
                    name = new + name.removeprefix(old)
            self.held[name] = value
        self.taken = set()

    def __contains__(self, name):
        return name in self.held

    def names(self):
        return self.held.keys()

    def take(self, name):
        if name not in self.held:
            raise Refusal(f"{self.source}/model.safetensors: lacks the weight {name}")
        self.taken.add(name)
        return self.held[name]

    def linear(self, name, bias=True):
        return linear(self.take(f"{name}.weight"), self.take(f"{name}.bias") if bias else None)

    def under(self, prefix):
        """All weights of a part, which is taken as a whole."""
        part = {name: value for name, value in self.held.items() if name.startswith(prefix)}
        if not part:
            raise Refusal(f"{self.source}/model.safetensors: lacks the weights {prefix}*")
        self.taken.update(part)
        return part

    def check_all_taken(self):
        left = [name for name in self.held if name not in self.taken and not UNUSED.search(name)]
        if left:
            raise Refusal(f"{self.source}/model.safetensors: holds {len(left)} weights that the policy does not use, the first is {left[0]}")


class PaliGemma(nn.Module):
    """What all pi policies share: image encoder, its projection, the embedding of tokens, the language model."""

    def __init__(self, weights, config, embedding):
        super().__init__()
        self.config = config
        positions = weights.take(f"{TOWER}embeddings.position_embedding.weight")
        self.tower = VisionTower(weights.under(TOWER), TOWER, VISION_HEADS, VISION_EPSILON, positions)
        side = self.tower.patches.kernel_size[0] * math.isqrt(len(positions))
        if tuple(config.image_resolution) != (side, side):
            raise Refusal(f"{weights.source}/config.json: image_resolution is {list(config.image_resolution)}, the image encoder's weights are for {side} x {side}")
        self.project = weights.linear(f"{PALIGEMMA}model.multi_modal_projector.linear")
        self.embed = nn.Embedding.from_pretrained(weights.take(embedding).float())
        self.language = Gemma(weights, f"{PALIGEMMA}model.language_model.")

    @property
    def image_tokens(self):
        return self.tower.positions.shape[1]


class Model(PaliGemma):
    """All parts of pi0 or pi0.5, in f32."""

    def __init__(self, weights, config, five):
        # A tied embedding is saved once, under either name.
        super().__init__(weights, config, EMBEDDING if EMBEDDING in weights else HEAD)
        self.five = five
        self.expert = Gemma(weights, f"{EXPERT}model.")
        self.inward, self.outward = weights.linear("action_in_proj"), weights.linear("action_out_proj")
        mlp = "time_mlp" if five else "action_time_mlp"
        self.mix, self.mixed = weights.linear(f"{mlp}_in"), weights.linear(f"{mlp}_out")
        self.state = None if five else weights.linear("state_proj")
        conditioned = self.expert.norm.conditioned
        if conditioned != five:
            raise Refusal(f"{weights.source}/model.safetensors: the action expert's norms {'follow' if conditioned else 'do not follow'} the time, config.json says {'pi05' if five else 'pi0'}")
        weights.check_all_taken()


class Vision(nn.Module):
    """(image, ...) -> features [1, cameras * patches, D]."""

    def __init__(self, model):
        super().__init__()
        self.tower, self.project = model.tower, model.project

    def forward(self, *images):
        x = self.project(self.tower(together(images)))
        count, patches, width = (int(size) for size in x.shape)
        return x.reshape(1, count * patches, width)


class Prefix(nn.Module):
    """(features, tokens, mask) -> keys and values [layers, 1, S, d], bias [1, 1, 1 or R, S + R], cosine and sine [R, d / 2].

    R rows are the step's: for pi0 the state and the chunk, for pi0.5 the chunk. Tokens that are padded come right of the text, so that
    only the step's positions follow from the mask.
    """

    def __init__(self, model, cameras, tokens):
        super().__init__()
        self.embed, self.language = model.embed, model.language
        self.scale = math.sqrt(model.embed.embedding_dim)
        self.images = cameras * model.image_tokens
        rows = model.config.chunk_size + (0 if model.five else 1)
        length = self.images + tokens
        cosine, sine = rotation(range(length + rows), model.language.layers[0].width)
        self.length = length
        self.register_buffer("cosine", cosine)
        self.register_buffer("sine", sine)
        own = torch.zeros(1, 1, 1 if model.five else rows, rows)
        if not model.five:
            # The state does not see the actions.
            own[:, :, 0, 1:] = MASKED
        self.register_buffer("own", own)
        self.register_buffer("seen", torch.zeros(1, self.images))
        self.register_buffer("rows", torch.arange(rows, dtype=torch.float32))

    def forward(self, features, tokens, mask):
        x = torch.cat([features, self.embed(tokens) * self.scale], dim=1)
        bias = torch.cat([self.seen, torch.where(mask, 0.0, MASKED)], dim=1)[:, None, None]
        keys, values, _ = self.language(x, self.cosine[: self.length], self.sine[: self.length], bias, last=0)
        place = (self.images + mask.to(torch.float32).sum(dim=1) + self.rows).to(torch.int32)
        bias = torch.cat([bias.expand(1, 1, int(self.own.shape[2]), self.length), self.own], dim=-1)
        return keys, values, bias, self.cosine.index_select(0, place), self.sine.index_select(0, place)


class Step(nn.Module):
    """(sample [1, T, A], time [1], [state,] keys, values, bias, cosine, sine) -> velocity [1, T, A]."""

    def __init__(self, model):
        super().__init__()
        self.five, self.expert, self.state = model.five, model.expert, model.state
        self.inward, self.outward, self.mix, self.mixed = model.inward, model.outward, model.mix, model.mixed
        self.time = TimeEmbedding(model.inward.out_features, model.config.min_period, model.config.max_period)

    def forward(self, sample, time, *rest):
        x = self.inward(sample)
        moment = self.time(time)
        silu = nn.functional.silu
        if self.five:
            keys, values, bias, cosine, sine = rest
            condition = silu(self.mixed(silu(self.mix(moment))))
        else:
            state, keys, values, bias, cosine, sine = rest
            condition = None
            moment = moment[:, None].expand(1, int(x.shape[1]), int(x.shape[2]))
            x = self.mixed(silu(self.mix(torch.cat([x, moment], dim=2))))
            x = torch.cat([self.state(state)[:, None], x], dim=1)
        *_, x = self.expert(x, cosine, sine, bias, (keys, values), condition)
        return self.outward(x if self.five else x[:, 1:])


# How the state is written into a prompt, and what is done to the task before it.
BINS = {"name": wiring.STATE, "bins": 256, "low": -1.0, "high": 1.0}
TASK = ("strip", "underscores_to_spaces", "newlines_to_spaces")


def prompt_width(checkpoint, dataset, config, options):
    """How many numbers of the state the prompt of pi0.5 or pi0-FAST holds."""
    count, most = len(dataset.names(wiring.STATE)), config.max_state_dim
    shown = versions.pads_prompt(checkpoint)
    pads = shown if options.prompt_state is None else options.prompt_state == "padded"
    if shown is not None and pads != shown:
        raise Refusal(f"--prompt-state {options.prompt_state}: the checkpoint was written by lerobot {'0.4, which pads' if shown else '0.5 or later, which does not pad'} the state in the prompt")
    if pads is False:
        return count
    if checkpoint.state_width not in (None, most):
        raise Refusal(f"{checkpoint.folder}/config.json: max_state_dim is {most}, but LeRobot's saved processor writes {checkpoint.state_width} numbers into the prompt: the policy runs with another prompt than it was trained with")
    if pads is None and count < most:
        raise Refusal(f"{checkpoint.folder}: no train_config.json shows which version of lerobot trained this, and with it how many numbers of the state the prompt holds; say --prompt-state padded ({most}, lerobot 0.4) or --prompt-state plain ({count}, 0.5 and later)")
    return most


def plan(checkpoint, dataset, options, folders):
    """The plan of pi0 or pi0.5."""
    five = checkpoint.kind == "pi05"
    name = "pi0.5" if five else "pi0"
    config = checkpoint.policy_config(options.ignore_field, compile_model=False, gradient_checkpointing=False)
    if checkpoint.mode("VISUAL") != "IDENTITY":
        raise Refusal(f"{checkpoint.folder}/config.json: normalization_mapping has {checkpoint.mode('VISUAL')} for VISUAL; {name}'s own x * 2 - 1 needs IDENTITY")
    tokens = text.read(folders["tokenizer"], "--tokenizer", "PaliGemma's tokenizer")
    cameras = wiring.cameras(checkpoint, dataset, options, may_lack=True)
    if not cameras:
        raise Refusal(f"{checkpoint.folder}/config.json: input_features has no camera")
    state_width = prompt_width(checkpoint, dataset, config, options) if five else config.max_state_dim
    states = wiring.state_parts(checkpoint, dataset, options, pad_to=state_width)
    action = wiring.action_part(checkpoint, dataset, options, "step.sample", config.chunk_size, config.n_action_steps, width=config.max_action_dim)
    if five:
        written = text.part(checkpoint, tokens, "Task: {instruction}, State: {state};\nAction: ", list(TASK), config.tokenizer_max_length, state=dict(BINS))
    else:
        written = text.part(checkpoint, tokens, "{instruction}\n", ["strip_final_newline"], config.tokenizer_max_length)
    # Either version of the names of the time's two layers; pi0.5 has no state beside its text.
    renamed = {"action_time_mlp_": "time_mlp_"} if five else {"time_mlp_": "action_time_mlp_"}
    weights = Weights(checkpoint, renamed)
    if five:
        weights.taken.update(weight for weight in weights.names() if weight.startswith("state_proj."))
    model = Model(weights, config, five).eval()
    text.check_vocabulary(tokens, model.embed.num_embeddings)
    observations = {"cameras": camera_parts(cameras, config), "states": states, "text": written}
    parts = stages(model, len(cameras), written["max_tokens"], {camera.tensor: camera.name for camera in cameras})
    policy = pi0_reference.policy(checkpoint.kind, config, model)
    overrides = {"pi05_prepare_state_tokenizer_processor_step": {"max_state_dim": state_width}} if five else None
    run = lerobot_reference.Runner(checkpoint, policy, config, cameras, options, tokens.folder, overrides)
    shape = (1, config.chunk_size, config.max_action_dim)
    origin = f"{name} (LeRobot, with an own Gemma)"
    return Plan(observations, parts, action, lambda observation: run.chunk(observation, noise=observation.noise().draw(shape)), origin, tokens.content)


def camera_parts(cameras, config):
    """The cameras in policy.json: padded to the image encoder's size, from -1 to 1."""
    height, width = config.image_resolution
    # The padding is -1 before x * 2 - 1, as in LeRobot: -3 after it.
    pad = {"horizontal": "both", "vertical": "both", "value": -1.0}
    resize = {"resize": {"width": width, "height": height, "fit": "pad", "filter": "bilinear", "antialias": False, "on": "floats", "pad": pad}}
    return [wiring.camera_part(camera, [resize], wiring.affine(2.0, -1.0)) for camera in cameras]


def stages(model, cameras, tokens, images):
    """The three stages. `images`: value by tensor of the graph."""
    config = model.config
    loop = {
        "flow": {"steps": config.num_inference_steps, "from": 1.0, "to": 0.0, "velocity": "velocity", "time": "scalar"},
        "sample": {"shape": [1, config.chunk_size, config.max_action_dim], "noise": {"normal": {"mean": 0.0, "std": 1.0}}},
    }
    made = ["keys", "values", "bias", "cosine", "sine"]
    inputs = {"sample": "loop.sample", "time": "loop.time"}
    if not model.five:
        inputs["state"] = wiring.STATE
    return [
        Stage("vision", "observation", Vision(model), images, ["features"]),
        Stage("prefix", "observation", Prefix(model, cameras, tokens), {"features": "vision.features", "tokens": "tokens", "mask": "mask"}, made),
        Stage("step", "loop", Step(model), {**inputs, **{name: f"prefix.{name}" for name in made}}, ["velocity"], loop),
    ]
