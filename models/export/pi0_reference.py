"""LeRobot's pi policies around the exporter's own Gemma and SigLIP.

LeRobot's classes refuse the transformers of PyPI. Their code for images, masks, positions, time and the loop needs nothing of it: it
runs here as it is, with the exporter's model in place of the two of transformers. Thus the stages are compared with code that neither
splits the policy nor knows which values are constant.
"""

import types

import numpy as np
import torch
from torch import nn

from .layers import rotation


class Pair(nn.Module):
    """What LeRobot calls `paligemma_with_expert`."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        config = types.SimpleNamespace(_attn_implementation="eager")
        self.paligemma = types.SimpleNamespace(language_model=types.SimpleNamespace(config=config))
        self.gemma_expert = types.SimpleNamespace(model=types.SimpleNamespace(config=config))

    def embed_image(self, image):
        return self.model.project(self.model.tower(image))

    def embed_language_tokens(self, tokens):
        return self.model.embed(tokens)

    def forward(self, attention_mask, position_ids, past_key_values, inputs_embeds, use_cache, adarms_cond=(None, None)):
        index = 0 if inputs_embeds[1] is None else 1
        gemma = self.model.language if index == 0 else self.model.expert
        outputs, cache = run(gemma, inputs_embeds[index], position_ids[0], attention_mask, past_key_values, adarms_cond[index])
        return [outputs, None] if index == 0 else [None, outputs], cache if use_cache else None


def run(gemma, x, positions, bias, past, condition):
    """Gemma over any positions and mask; gives the outputs, and each layer's keys and values."""
    cosine, sine = rotation(positions, gemma.layers[0].width)
    cache = []
    for index, layer in enumerate(gemma.layers):
        y, gate = layer.norm1(x, condition)
        query, key, value = layer.project(y, cosine, sine)
        if past is not None:
            key, value = (torch.cat([held, own], dim=2) for held, own in zip(past[index], (key, value)))
        cache.append((key, value))
        x = layer.finish(x, gate, query, key, value, bias, condition)
    return gemma.norm(x, condition)[0], cache


def policy(kind, config, model):
    """LeRobot's policy object around a model of the exporter."""
    if kind == "pi05":
        from lerobot.policies.pi05.modeling_pi05 import PI05Policy as Policy, PI05Pytorch as Core
    else:
        from lerobot.policies.pi0.modeling_pi0 import PI0Policy as Policy, PI0Pytorch as Core
    core = bare(Core)
    core.config, core.rtc_processor, core.gradient_checkpointing_enabled = config, None, False
    core.paligemma_with_expert = Pair(model)
    core.action_in_proj, core.action_out_proj = model.inward, model.outward
    if kind == "pi05":
        core.time_mlp_in, core.time_mlp_out = model.mix, model.mixed
    else:
        core.action_time_mlp_in, core.action_time_mlp_out, core.state_proj = model.mix, model.mixed, model.state
    result = bare(Policy)
    result.config, result.model = config, core
    return result.eval()


def fast_policy(config, model, text_tokenizer, action_tokenizer):
    """LeRobot's pi0-FAST around a model of the exporter."""
    from lerobot.policies.pi0_fast import modeling_pi0_fast as lerobot

    # LeRobot's one use of scipy.
    lerobot.idct = inverse_dct
    core = bare(lerobot.PI0FastPytorch)
    core.config, core.rtc_processor, core.gradient_checkpointing_enabled = config, None, False
    core._paligemma_tokenizer = text_tokenizer
    core.paligemma_with_expert = FastPair(model)
    result = bare(lerobot.PI0FastPolicy)
    result.config, result.model = config, core
    result._paligemma_tokenizer, result.action_tokenizer = text_tokenizer, action_tokenizer
    return result.eval()


class FastPair(Pair):
    """What LeRobot calls `paligemma_with_expert` in pi0-FAST, which has no expert."""

    def __init__(self, model):
        nn.Module.__init__(self)
        self.model = model
        projection = types.SimpleNamespace(weight=model.embed.weight)
        layer = types.SimpleNamespace(self_attn=types.SimpleNamespace(q_proj=projection))
        self.paligemma = types.SimpleNamespace(language_model=types.SimpleNamespace(layers=[layer]), lm_head=model.logits)


def inverse_dct(coefficients, axis, norm):
    """scipy.fftpack.idct over the first axis, by a Fourier transform of an even sequence."""
    assert axis == 0 and norm == "ortho"
    count = len(coefficients)
    weights = np.array(coefficients, dtype=np.float64) * np.sqrt(2.0 * count)
    weights[0] *= np.sqrt(2.0)
    phases = np.exp(0.5j * np.pi / count * np.arange(count))[:, None]
    spectrum = np.zeros((count + 1, weights.shape[1]), dtype=np.complex128)
    spectrum[:count] = weights * phases
    return np.fft.irfft(spectrum, n=2 * count, axis=0)[:count]


def bare(kind):
    """An object of a module's class without its __init__, which builds what transformers lacks."""
    made = kind.__new__(kind)
    nn.Module.__init__(made)
    return made
