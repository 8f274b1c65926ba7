"""pi0-FAST: an image encoder, a prefix over images and prompt, and a step that decodes the actions token by token."""

import math

import torch
from torch import nn

from . import fast, lerobot_reference, pi0, pi0_reference, text, wiring
from .layers import MASKED, rotation
from .plan import Plan, Stage
from .refusal import Refusal

TABLE = "action_tokens.json"
# What the decoder writes before the actions and after them.
PREFIX, END = "Action: ", "|"


class Model(pi0.PaliGemma):
    """All parts of pi0-FAST, in f32. The embedding of tokens is that of the logits, too."""

    def __init__(self, weights, config):
        for name in (pi0.EMBEDDING, pi0.HEAD):
            if name in weights:
                held = weights.take(name)
                if not torch.equal(held, weights.take(pi0.HEAD if pi0.HEAD in weights else name)):
                    raise Refusal(f"{weights.source}/model.safetensors: {pi0.EMBEDDING} and {pi0.HEAD} differ, and LeRobot uses the one as the other")
        super().__init__(weights, config, pi0.HEAD if pi0.HEAD in weights else pi0.EMBEDDING)
        self.register_buffer("nothing", torch.zeros(self.embed.num_embeddings))
        weights.check_all_taken()

    def embedded(self, tokens):
        return self.embed(tokens) * math.sqrt(self.embed.embedding_dim)

    def logits(self, x):
        """[1, 1, D] -> [1, 1, V]. As Gemm, which takes the embedding as it lies; a MatMul would hold it a second time, transposed."""
        return nn.functional.linear(x[:, 0], self.embed.weight, self.nothing)[:, None]


class Prefix(nn.Module):
    """(features, tokens, mask) -> keys and values [layers, 1, S, d], logits [1, 1, V], bias [1, 1, 1, S], cosine and sine [R, d / 2].

    A token <bos> closes the prompt, after the padding; the logits are those that follow it. R rows are those of the tokens that are decoded.
    """

    def __init__(self, model, cameras, tokens, begin):
        super().__init__()
        self.model = model
        self.images = cameras * model.image_tokens
        rows = model.config.max_decoding_steps
        cosine, sine = rotation(range(self.images + tokens + 1 + rows), model.language.layers[0].width)
        self.register_buffer("cosine", cosine)
        self.register_buffer("sine", sine)
        self.register_buffer("begin", torch.tensor([[begin]]))
        self.register_buffer("seen", torch.zeros(1, self.images))
        self.register_buffer("own", torch.zeros(1, 1))
        self.register_buffer("rows", torch.arange(rows + 1, dtype=torch.float32))

    def forward(self, features, tokens, mask):
        x = torch.cat([features, self.model.embedded(torch.cat([tokens, self.begin], dim=1))], dim=1)
        bias = torch.cat([self.seen, torch.where(mask, 0.0, MASKED), self.own], dim=1)[:, None, None]
        place = (self.images + mask.to(torch.float32).sum(dim=1) + self.rows).to(torch.int32)
        after = [table.index_select(0, place) for table in (self.cosine, self.sine)]
        # Padding stands before <bos> and has no place.
        length = int(x.shape[1]) - 1
        here = [torch.cat([table[:length], rows[:1]]) for table, rows in zip((self.cosine, self.sine), after)]
        keys, values, last = self.model.language(x, *here, bias, last=1)
        return keys, values, self.model.logits(last), bias, *(rows[1:] for rows in after)


class Step(nn.Module):
    """(token [1, 1], index [1], past_keys, past_values [layers, 1, S + R - 1, d], bias, cosine, sine) -> logits [1, 1, V], key and value [layers, 1, 1, d]."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.register_buffer("places", torch.arange(model.config.max_decoding_steps - 1)[None])
        self.register_buffer("own", torch.zeros(1, 1))

    def forward(self, token, index, keys, values, bias, cosine, sine):
        decoded = torch.cat([torch.where(self.places < index, 0.0, MASKED), self.own], dim=1)
        bias = torch.cat([bias, decoded[:, None, None]], dim=-1)
        cosine, sine = (rows.index_select(0, index) for rows in (cosine, sine))
        key, value, last = self.model.language(self.model.embedded(token), cosine, sine, bias, (keys, values))
        return self.model.logits(last), key, value


def plan(checkpoint, dataset, options, folders):
    """The plan of pi0-FAST."""
    where = f"{checkpoint.folder}/config.json"
    config = checkpoint.policy_config(options.ignore_field, compile_model=False, gradient_checkpointing=False)
    if checkpoint.mode("VISUAL") != "IDENTITY":
        raise Refusal(f"{where}: normalization_mapping has {checkpoint.mode('VISUAL')} for VISUAL; pi0-FAST's own x * 2 - 1 needs IDENTITY")
    if config.temperature != 0:
        raise Refusal(f"{where}: temperature is {config.temperature}: LeRobot draws tokens by chance, a package takes the likeliest; set it to 0")
    if config.n_action_steps != config.chunk_size:
        raise Refusal(f"{where}: n_action_steps is {config.n_action_steps}, chunk_size {config.chunk_size}: LeRobot then reads the coefficients of {config.chunk_size} steps as those of {config.n_action_steps}; set n_action_steps to {config.chunk_size} and say --execute {config.n_action_steps}")
    tokens = text.read(folders["tokenizer"], "--tokenizer", "PaliGemma's tokenizer")
    actions = fast.read(folders["action_tokenizer"])
    cameras = wiring.cameras(checkpoint, dataset, options, may_lack=True)
    if not cameras:
        raise Refusal(f"{where}: input_features has no camera")
    state_width = pi0.prompt_width(checkpoint, dataset, config, options)
    states = wiring.state_parts(checkpoint, dataset, options, pad_to=state_width)
    action = wiring.action_part(checkpoint, dataset, options, "step.sample", config.chunk_size, config.n_action_steps)
    written = text.part(checkpoint, tokens, "Task: {instruction}, State: {state};\n", list(pi0.TASK), config.tokenizer_max_length, state=dict(pi0.BINS))
    model = Model(pi0.Weights(checkpoint, {}), config).eval()
    text.check_vocabulary(tokens, model.embed.num_embeddings)
    observations = {"cameras": pi0.camera_parts(cameras, config), "states": states, "text": written}
    spec = loop(config, tokens, actions, action)
    parts = stages(model, len(cameras), written["max_tokens"], {camera.tensor: camera.name for camera in cameras}, spec, tokens.fast.bos_token_id)
    policy = pi0_reference.fast_policy(config, model, tokens.fast, actions.processor)
    overrides = {
        "pi0_fast_prepare_state_tokenizer_processor_step": {"max_state_dim": state_width},
        "action_tokenizer_processor": {"action_tokenizer_name": None, "action_tokenizer_input_object": actions.processor, "paligemma_tokenizer_name": str(tokens.folder)},
    }
    run = lerobot_reference.Runner(checkpoint, policy, config, cameras, options, tokens.folder, overrides, actions.processor)
    return Plan(observations, parts, action, run.chunk, "pi0-FAST (LeRobot, with an own Gemma)", tokens.content, tables={TABLE: actions.table})


def loop(config, tokens, actions, action):
    """The loop over tokens in policy.json."""
    known = tokens.fast.get_vocab()
    start = ["Action", ":"] if config.validate_action_token_prefix else []
    for token in (END, *start):
        if token not in known:
            raise Refusal(f"{tokens.folder}: has no token {token!r}, by which LeRobot reads what pi0-FAST decodes")
    if tokens.fast.bos_token_id is None:
        raise Refusal(f"{tokens.folder}/tokenizer_config.json: has no bos_token, with which pi0-FAST's prompt ends")
    first = tokens.fast.vocab_size - 1 - config.fast_skip_tokens
    if first < 0:
        raise Refusal(f"{tokens.folder}: has {tokens.fast.vocab_size} tokens, config.json skips {config.fast_skip_tokens} of them (fast_skip_tokens)")
    dct = {"first_token": first, "descending": True, "table": TABLE, "utf8": {"offset": actions.processor.min_token}, "fit": "fill"}
    dct.update(scale=actions.processor.scale, steps=config.chunk_size, dim=len(action["names"]))
    caches = {part: {"from": f"prefix.{part}", "output": part.removesuffix("s"), "axis": 2} for part in ("keys", "values")}
    # LeRobot takes what was decoded where no end comes.
    spec = {"max_tokens": config.max_decoding_steps, "end": known[END], "open_end": True, "first": {"logits": "prefix.logits"}, "logits": "logits", "cache": caches}
    if start:
        spec["starts_with"] = [known[token] for token in start]
    spec["remove"] = tokens.fast.encode(PREFIX, add_special_tokens=False)
    return {"tokens": {**spec, "decode": {"dct": dct}}}


def stages(model, cameras, tokens, images, spec, begin):
    """The three stages. `images`: value by tensor of the graph; `begin`: the token that closes the prompt."""
    language = model.language
    length = cameras * model.image_tokens + tokens + model.config.max_decoding_steps
    shape = (len(language.layers), 1, length, language.layers[0].width)
    inputs = {"token": "loop.token", "index": "loop.index", "past_keys": "loop.keys", "past_values": "loop.values"}
    inputs.update({name: f"prefix.{name}" for name in ("bias", "cosine", "sine")})
    made = ["keys", "values", "logits", "bias", "cosine", "sine"]
    return [
        Stage("vision", "observation", pi0.Vision(model), images, ["features"]),
        Stage("prefix", "observation", Prefix(model, cameras, tokens, begin), {"features": "vision.features", "tokens": "tokens", "mask": "mask"}, made),
        Stage("step", "loop", Step(model), inputs, ["logits", "key", "value"], spec, {"keys": shape, "values": shape}),
    ]
