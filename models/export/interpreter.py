"""Runs a policy as policy.json says it, in Python: what docs/policy-package.md means, against which the package is checked.

Slow and plain on purpose. `run_stage(name, inputs by tensor) -> outputs by tensor` runs one graph.
"""

import math

import numpy as np
import torch
from torch.nn import functional

from .refusal import Refusal

FILTERS = {"bilinear": "bilinear", "bicubic": "bicubic", "nearest": "nearest", "nearest_exact": "nearest-exact"}
ELEMENTS = {"bool": torch.bool, "i64": torch.int64, "i32": torch.int32, "f32": torch.float32}


class Interpreter:
    """One package. `values` keeps every value of the last run by name; of a loop's outputs those of its first step."""

    def __init__(self, policy, run_stage, tokenizer=None, tables=None, caches=None):
        """`tables`: runs of integers by file, `caches`: shapes by stage and name; both for loops over tokens."""
        self.policy, self.run_stage, self.tokenizer = policy, run_stage, tokenizer
        self.tables, self.caches = tables or {}, caches or {}
        self.values = {}

    def run(self, observation):
        """The chunk [chunk, names] in the action's units."""
        self.values = {}
        given = self.policy["observations"]
        for camera in given["cameras"]:
            images = [image(camera, frame) for frame in observation.frames[camera["name"]]]
            self.values[camera["name"]] = with_history(images, camera["history"])
        for state in given["states"]:
            rows = [vector(state, row) for row in observation.states[state["name"]]]
            self.values[state["name"]] = with_history(rows, state["history"])
        if text := given.get("text"):
            self.text(text, observation)
        noise = observation.noise()
        for stage in self.policy["stages"]:
            if stage["run"] == "loop":
                self.loop(stage, noise)
            else:
                self.keep(stage, self.outputs(stage, {}))
        return self.action()

    def text(self, text, observation):
        tokens = self.tokens(text, observation.instruction)
        count, most = len(tokens), text["max_tokens"]
        if count > most:
            raise Refusal(f"the instruction {observation.instruction!r} has {count} tokens, at most {most} are taken (tokenizer_max_length); say another --instruction for the golden values")
        rest = [text["pad_id"]] * (most - count)
        mask = [1] * count
        if text["padding"] == "right":
            tokens, mask = tokens + rest, mask + [0] * len(rest)
        else:
            tokens, mask = rest + tokens, [0] * len(rest) + mask
        self.values[text["name"]] = torch.tensor([tokens], dtype=ELEMENTS[text["element"]])
        if "mask" in text:
            self.values[text["mask"]["name"]] = torch.tensor([mask], dtype=ELEMENTS[text["mask"]["element"]])

    def tokens(self, text, instruction):
        for step in text["clean"]:
            instruction = CLEAN[step](instruction)
        written = text["template"].replace("{instruction}", instruction)
        if state := text.get("state"):
            value = self.values[state["name"]]
            newest = value.reshape(-1, value.shape[-1])[-1].numpy()
            edges = np.linspace(state["low"], state["high"], state["bins"] + 1)[:-1]
            bins = np.digitize(newest, edges) - 1
            written = written.replace("{state}", " ".join(str(number) for number in bins))
        return self.tokenizer.encode(written, add_special_tokens=text["special_tokens"]).ids

    def outputs(self, stage, of_loop):
        inputs = {tensor: of_loop.get(value, self.values.get(value)) for tensor, value in stage["inputs"].items()}
        return self.run_stage(stage["name"], inputs)

    def keep(self, stage, outputs):
        for name in stage["outputs"]:
            self.values[f"{stage['name']}.{name}"] = outputs[name]

    def loop(self, stage, noise):
        method = stage["loop"]
        if "tokens" in method:
            self.values[f"{stage['name']}.sample"] = self.decode(stage, method["tokens"])
            return
        sample = noise.draw(method["sample"]["shape"])
        first = True
        for time, advance in flow_steps(method["flow"], sample) if "flow" in method else diffusion_steps(method["diffusion"], noise):
            outputs = self.outputs(stage, {"loop.sample": sample, "loop.time": time})
            if first:
                self.keep(stage, outputs)
                first = False
            sample = advance(sample, outputs)
        self.values[f"{stage['name']}.sample"] = sample

    def decode(self, stage, given):
        """The chunk [1, steps, dim] of a loop over tokens."""
        held, filled = {}, {}
        for name, cache in given["cache"].items():
            held[name] = torch.zeros(self.caches[stage["name"]][name])
            if begin := cache.get("from"):
                value = self.values[begin]
                filled[name] = value.shape[cache["axis"]]
                held[name].narrow(cache["axis"], 0, filled[name]).copy_(value)
        following, decoded, ended = given["first"].get("token"), [], False
        if following is None:
            following = largest(self.values[given["first"]["logits"]])
            decoded.append(following)
        for index in range(given["max_tokens"]):
            ended = bool(decoded) and decoded[-1] == given["end"]
            if ended or (given["end"] is None or given.get("open_end")) and len(decoded) == given["max_tokens"]:
                break
            own = {f"loop.{name}": value for name, value in held.items()}
            own.update({"loop.token": torch.tensor([[following]]), "loop.index": torch.tensor([index])})
            outputs = self.outputs(stage, own)
            if index == 0:
                self.keep(stage, outputs)
            for name, cache in given["cache"].items():
                part = outputs[cache["output"]]
                if "axis" not in cache:
                    held[name] = part
                    continue
                held[name] = held[name].clone()
                held[name].narrow(cache["axis"], filled.get(name, 0) + index, part.shape[cache["axis"]]).copy_(part)
            following = largest(outputs[given["logits"]])
            decoded.append(following)
        if given["end"] is not None:
            if given["end"] in decoded:
                decoded = decoded[: decoded.index(given["end"])]
            elif not given.get("open_end"):
                raise Refusal(f"no end token within {given['max_tokens']} tokens")
        return decoded_chunk(given, decoded[: given["max_tokens"]], self.tables)[None]

    def action(self):
        part = self.policy["action"]
        chunk = self.values[part["from"]][0, part["first"] : part["first"] + part["chunk"], : len(part["names"])]
        result = back(part["normalisation"], chunk)
        for name, threshold in part["threshold"].items():
            index = part["names"].index(name)
            result[:, index] = (result[:, index] > threshold).float()
        return result


def largest(logits):
    """The place of the largest value of the last row."""
    return int(logits.reshape(-1, logits.shape[-1])[-1].argmax())


def decoded_chunk(given, tokens, tables):
    """What tokens stand for, [steps, dim]."""
    starts, remove = given.get("starts_with", []), given.get("remove", [])
    if tokens[: len(starts)] != starts:
        raise Refusal(f"the tokens begin with {tokens[: len(starts)]}, not with {starts}")
    kept = []
    while tokens:
        if remove and tokens[: len(remove)] == remove:
            tokens = tokens[len(remove) :]
        else:
            kept, tokens = kept + tokens[:1], tokens[1:]
    ((kind, part),) = given["decode"].items()
    places = [part["first_token"] - token if part["descending"] else token - part["first_token"] for token in kept]
    if kind == "bins":
        numbers = [part["low"] + (part["high"] - part["low"]) * (place + 0.5) / part["bins"] for place in places]
        return torch.tensor(numbers, dtype=torch.float32).reshape(part["steps"], part["dim"])
    table = tables[part["table"]]
    strange = [token for token, place in zip(kept, places) if not 0 <= place < len(table)]
    if strange:
        raise Refusal(f"token {strange[0]} stands for no action")
    numbers = [number for place in places for number in table[place]]
    if text := part.get("utf8"):
        numbers = [ord(character) + text["offset"] for character in bytes(numbers).decode()]
    count = part["steps"] * part["dim"]
    if part.get("fit") == "fill":
        numbers = (numbers + [0] * count)[:count]
    if len(numbers) != count:
        raise Refusal(f"the tokens stand for {len(numbers)} numbers instead of {count}")
    return inverse_dct(torch.tensor(numbers, dtype=torch.float64).reshape(part["steps"], part["dim"]) / part["scale"]).float()


def inverse_dct(coefficients):
    """The inverse of the orthonormal DCT-II over the first axis."""
    count = len(coefficients)
    angles = math.pi / count * (torch.arange(count, dtype=torch.float64) + 0.5)[:, None] * torch.arange(count, dtype=torch.float64)
    scale = torch.full((count,), math.sqrt(2.0 / count), dtype=torch.float64)
    scale[0] = math.sqrt(1.0 / count)
    return (torch.cos(angles) * scale) @ coefficients


CLEAN = {
    "strip": str.strip,
    "strip_final_newline": lambda text: text.removesuffix("\n"),
    "underscores_to_spaces": lambda text: text.replace("_", " "),
    "newlines_to_spaces": lambda text: text.replace("\n", " "),
    "lowercase": str.lower,
}


def flow_steps(flow, sample):
    """(time, advance) of each of Euler's steps."""
    if "grid" in flow:
        times = flow["grid"]
    else:
        times = [flow["from"] + (flow["to"] - flow["from"]) * (step / flow["steps"]) for step in range(flow["steps"] + 1)]
    shape = (1,) if flow["time"] == "scalar" else (1, sample.shape[1])
    for time, following in zip(times, times[1:]):
        yield torch.full(shape, time, dtype=torch.float32), lambda x, outputs, width=following - time: x + width * outputs[flow["velocity"]]


def diffusion_steps(diffusion, noise):
    """(time, advance) of each step of diffusers' scheduler."""
    import diffusers

    ddim = diffusion["sampler"] == "ddim"
    kind, given = next(iter(diffusion["betas"].items()))
    betas = {"squaredcos": {"beta_schedule": "squaredcos_cap_v2"}, "linear": {"beta_schedule": "linear"}, "list": {"trained_betas": given}}[kind]
    if kind == "linear":
        betas.update(beta_start=given["start"], beta_end=given["end"])
    scheduler = (diffusers.DDIMScheduler if ddim else diffusers.DDPMScheduler)(
        num_train_timesteps=diffusion["train_steps"],
        prediction_type={"velocity": "v_prediction"}.get(diffusion["prediction"], diffusion["prediction"]),
        clip_sample=diffusion["clip"] is not None,
        clip_sample_range=diffusion["clip"] or 1.0,
        steps_offset=diffusion["steps_offset"],
        timestep_spacing="leading",
        **betas,
        **({"set_alpha_to_one": diffusion["set_alpha_to_one"]} if ddim else {"variance_type": "fixed_small"}),
    )
    scheduler.set_timesteps(diffusion["steps"])
    for time in scheduler.timesteps:

        def advance(x, outputs, time=time):
            with drawn_from(noise):
                return scheduler.step(outputs[diffusion["output"]], time, x).prev_sample

        yield time.reshape(1).to(torch.int64), advance


class drawn_from:
    """Makes diffusers draw its noise from the stream."""

    def __init__(self, noise):
        self.noise = noise

    def __enter__(self):
        from diffusers.schedulers import scheduling_ddpm

        self.module, self.held = scheduling_ddpm, scheduling_ddpm.randn_tensor
        scheduling_ddpm.randn_tensor = lambda shape, **_: self.noise.draw(shape)

    def __exit__(self, *_):
        self.module.randn_tensor = self.held


def with_history(items, history):
    """[1, ...] for one observation, [1, n, ...] for more."""
    if len(items) != history:
        raise ValueError(f"{len(items)} observations, {history} are needed")
    return items[0][None] if history == 1 else torch.stack(items)[None]


def vector(state, row):
    values = forth(state["normalisation"], torch.tensor(row, dtype=torch.float32))
    return functional.pad(values, (0, state.get("pad_to", len(row)) - len(row)))


def image(camera, frame):
    """A frame of bytes [height, width, 3] as the tensor of one observation."""
    if (size := camera.get("frame")) and frame.shape[:2] != (size["height"], size["width"]):
        raise ValueError(f"{camera['name']}: the frame has another size")
    x = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float() / 255
    for step in camera["transform"]:
        ((kind, given),) = step.items()
        x = TRANSFORMS[kind](x, given)
    if camera["channels"] == "bgr":
        x = x.flip(1)
    x = forth(camera["normalisation"], x.permute(0, 2, 3, 1))
    return (x if camera["layout"] == "nhwc" else x.permute(0, 3, 1, 2))[0].contiguous()


def crop(x, part):
    height, width = x.shape[-2:]
    left, top = round(part["left"] * width), round(part["top"] * height)
    return x[..., top : top + round(part["height"] * height), left : left + round(part["width"] * width)]


def centre_crop(x, size):
    top, left = (int(round((x.shape[-2] - size["height"]) / 2)), int(round((x.shape[-1] - size["width"]) / 2)))
    return x[..., top : top + size["height"], left : left + size["width"]]


def resize(x, given):
    height, width = x.shape[-2:]
    target = (given["height"], given["width"])
    if given["fit"] == "pad":
        ratio = max(width / target[1], height / target[0])
        size = (int(height / ratio), int(width / ratio))
    elif given["fit"] == "stretch":
        size = target
    else:
        raise ValueError(f"fit {given['fit']} is not interpreted here")
    if given["on"] != "floats" or "box" in given:
        raise ValueError("a resize on bytes or of a box is not interpreted here")
    mode = FILTERS[given["filter"]]
    smooth = mode in ("bilinear", "bicubic")
    x = functional.interpolate(x, size=size, mode=mode, align_corners=False if smooth else None, antialias=given["antialias"] and smooth)
    if given["fit"] != "pad":
        return x
    pad = given["pad"]
    left, right = sides(target[1] - size[1], pad["horizontal"], "left")
    top, bottom = sides(target[0] - size[0], pad["vertical"], "top")
    return functional.pad(x, (left, right, top, bottom), value=pad["value"])


def sides(rest, where, first):
    if where == "both":
        return rest // 2, rest - rest // 2
    return (rest, 0) if where == first else (0, rest)


TRANSFORMS = {"crop": crop, "centre_crop": centre_crop, "resize": resize}


def bounds(normalisation):
    given = normalisation.get("min_max") or normalisation["quantiles"]
    low, high = (torch.tensor(given[name]) for name in (("min", "max") if "min" in given else ("low", "high")))
    span = high - low
    return low, torch.where(span == 0, torch.tensor(given["epsilon"]), span)


def forth(normalisation, x):
    """From physical to normalised values, over the last axis."""
    ((mode, given),) = normalisation.items()
    if mode == "identity":
        return x
    if mode == "mean_std":
        return (x - torch.tensor(given["mean"])) / (torch.tensor(given["std"]) + given["epsilon"])
    if mode == "affine":
        return x * torch.tensor(given["scale"]) + torch.tensor(given["offset"])
    low, span = bounds(normalisation)
    return 2 * (x - low) / span - 1


def back(normalisation, x):
    """From normalised to physical values."""
    ((mode, given),) = normalisation.items()
    if mode == "identity":
        return x.clone()
    if mode == "mean_std":
        return x * torch.tensor(given["std"]) + torch.tensor(given["mean"])
    if mode == "affine":
        return (x - torch.tensor(given["offset"])) / torch.tensor(given["scale"])
    low, span = bounds(normalisation)
    return (x + 1) / 2 * span + low
