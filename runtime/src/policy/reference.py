"""Reference values for the tests of the policy runtime: image transforms by PIL and torch, diffusion steps by diffusers.

    python reference.py        # writes preprocess/tests/reference.json and loops/diffusion/reference.json beside this file

Needs torch, torchvision, Pillow, numpy and diffusers; the versions that wrote the files stand in them.
"""

import json
from pathlib import Path

import diffusers
import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torchvision.transforms import functional as tv

HERE = Path(__file__).parent
IDENTITY = {"identity": {}}


def stream(seed, count):
    """x' = 1664525 x + 1013904223 modulo 2^32."""
    numbers = []
    for _ in range(count):
        seed = (seed * 1664525 + 1013904223) % 2**32
        numbers.append(seed)
    return numbers


def frame(width, height, seed):
    """Noise on a gradient: smooth parts and edges."""
    noise = np.array([x >> 24 for x in stream(seed, width * height * 3)], np.uint8)
    return noise.reshape(height, width, 3)


def floats(image):
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255


def case(name, width, height, transform, tensor, tolerance, every=1, **camera):
    """`tensor`: 1 x 3 x H x W on the scale of 0 to 1, before the normalisation, or after it where `camera` gives one. One in `every` values is kept."""
    spec = {"name": "camera", "transform": transform, "channels": "rgb", "layout": "nchw", "history": 1, "normalisation": IDENTITY}
    values = np.asarray(tensor, np.float64).flatten()
    return {
        "name": name, "camera": spec | camera, "frame": {"width": width, "height": height, "seed": len(name)}, "tolerance": tolerance,
        "shape": list(tensor.shape), "every": every, "values": [round(float(v), 6) for v in values[::every]],
    }


def resize(width, height, fit="stretch", filter="bilinear", antialias=False, on="floats", **more):
    return {"resize": {"width": width, "height": height, "fit": fit, "filter": filter, "antialias": antialias, "on": on} | more}


def image_cases():
    cases = []
    interpolate = torch.nn.functional.interpolate
    sizes = {"down": (11, 9, 4, 5), "up": (4, 3, 7, 8), "mixed": (9, 4, 5, 6)}
    for way, (width, height, w, h) in sizes.items():
        for filter in ("bilinear", "bicubic"):
            for antialias in (False, True):
                name = f"torch {filter} {way} antialias {antialias}"
                x = floats(frame(width, height, len(name)))
                out = interpolate(x, size=(h, w), mode=filter, align_corners=False, antialias=antialias)
                cases.append(case(name, width, height, [resize(w, h, filter=filter, antialias=antialias)], out, 1e-5))
            name = f"PIL {filter} {way}"
            image = Image.fromarray(frame(width, height, len(name)))
            out = floats(np.asarray(image.resize((w, h), getattr(Image.Resampling, filter.upper()))))
            cases.append(case(name, width, height, [resize(w, h, filter=filter, antialias=True, on="bytes")], out, 1e-6))
            for antialias in (False, True):
                name = f"torchvision uint8 {filter} {way} antialias {antialias}"
                x = torch.from_numpy(frame(width, height, len(name))).permute(2, 0, 1)
                mode = getattr(torchvision.transforms.InterpolationMode, filter.upper())
                out = tv.resize(x, [h, w], mode, antialias=antialias)[None].float() / 255
                cases.append(case(name, width, height, [resize(w, h, filter=filter, antialias=antialias, on="rounded")], out, 1.01 / 255))
        for filter, mode in (("nearest", "nearest"), ("nearest_exact", "nearest-exact")):
            name = f"torch {mode} {way}"
            out = interpolate(floats(frame(width, height, len(name))), size=(h, w), mode=mode)
            cases.append(case(name, width, height, [resize(w, h, filter=filter)], out, 1e-6))
    return cases + fit_cases() + webcam_cases()


def webcam_cases():
    """A webcam's frame as a policy takes it. torch computes positions in single precision, which tells on long sides."""
    cases = []
    for filter in ("bilinear", "bicubic"):
        mode = getattr(torchvision.transforms.InterpolationMode, filter.upper())
        for antialias in (False, True):
            name = f"webcam torch {filter} antialias {antialias}"
            x = floats(frame(640, 480, len(name)))
            out = torch.nn.functional.interpolate(x, size=(224, 224), mode=filter, align_corners=False, antialias=antialias)
            cases.append(case(name, 640, 480, [resize(224, 224, filter=filter, antialias=antialias)], out, 5e-5, 1499))
            name = f"webcam torchvision uint8 {filter} antialias {antialias}"
            x = torch.from_numpy(frame(640, 480, len(name))).permute(2, 0, 1)
            out = tv.resize(x, [224, 224], mode, antialias=antialias)[None].float() / 255
            cases.append(case(name, 640, 480, [resize(224, 224, filter=filter, antialias=antialias, on="rounded")], out, 1.01 / 255, 1499))
        name = f"webcam PIL {filter}"
        out = Image.fromarray(frame(640, 480, len(name))).resize((224, 224), getattr(Image.Resampling, filter.upper()))
        cases.append(case(name, 640, 480, [resize(224, 224, filter=filter, antialias=True, on="bytes")], floats(np.asarray(out)), 1e-6, 1499))
    return cases


def resize_with_pad(x, width, height, value, both):
    """SmolVLA pads left and top, pi0 both sides."""
    current_height, current_width = x.shape[2:]
    ratio = max(current_width / width, current_height / height)
    inner = int(current_height / ratio), int(current_width / ratio)
    x = torch.nn.functional.interpolate(x, size=inner, mode="bilinear", align_corners=False)
    rest = width - inner[1], height - inner[0]
    left, top = (rest[0] // 2, rest[1] // 2) if both else rest
    return torch.nn.functional.pad(x, (left, rest[0] - left, top, rest[1] - top), value=value)


def fit_cases():
    cases = []
    for width, height in ((10, 6), (5, 9)):
        for both in (False, True):
            name = f"resize with pad {width} x {height} both {both}"
            pad = {"horizontal": "both" if both else "left", "vertical": "both" if both else "top", "value": -1.0 if both else 0.0}
            out = resize_with_pad(floats(frame(width, height, len(name))), 7, 7, pad["value"], both)
            normalisation = {"affine": {"scale": [2, 2, 2], "offset": [-1, -1, -1]}}
            cases.append(case(name, width, height, [resize(7, 7, fit="pad", pad=pad)], out * 2 - 1, 1e-5, normalisation=normalisation))
    for width, height in ((11, 7), (6, 9)):
        name = f"shorter side and centre crop {width} x {height}"
        x = floats(frame(width, height, len(name)))
        out = tv.center_crop(tv.resize(x, 4, antialias=True), [4, 4])
        cases.append(case(name, width, height, [resize(4, 4, fit="cover", antialias=True)], out, 1e-5))
    name = "centre crop"
    x = floats(frame(9, 8, len(name)))
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    out = (tv.center_crop(x, [5, 4]) - torch.tensor(mean)[:, None, None]) / (torch.tensor(std)[:, None, None] + 1e-8)
    cases.append(case(name, 9, 8, [{"centre_crop": {"width": 4, "height": 5}}], out, 1e-6, normalisation={"mean_std": {"mean": mean, "std": std, "epsilon": 1e-8}}))
    name = "crop then PIL resize"
    part = frame(8, 8, len(name))[2:6, 4:8]
    out = floats(np.asarray(Image.fromarray(part).resize((3, 3), Image.Resampling.BILINEAR)))
    crop = {"crop": {"left": 0.5, "top": 0.25, "width": 0.5, "height": 0.5}}
    cases.append(case(name, 8, 8, [crop, resize(3, 3, antialias=True, on="bytes")], out, 1e-6))
    name = "PIL resize of a box between pixels"
    out = Image.fromarray(frame(8, 8, len(name))).resize((3, 3), Image.Resampling.BILINEAR, box=(1.5, 2.25, 6.5, 7.0))
    box = {"left": 1.5 / 8, "top": 2.25 / 8, "width": 5 / 8, "height": 4.75 / 8}
    cases.append(case(name, 8, 8, [resize(3, 3, antialias=True, on="bytes", box=box)], floats(np.asarray(out)), 1e-6))
    name = "two resizes"
    image = Image.fromarray(frame(12, 10, len(name))).resize((6, 8), Image.Resampling.BICUBIC)
    out = torch.nn.functional.interpolate(floats(np.asarray(image)), size=(3, 3), mode="bilinear", align_corners=False, antialias=True)
    cases.append(case(name, 12, 10, [resize(6, 8, filter="bicubic", antialias=True, on="bytes"), resize(3, 3, antialias=True)], out, 1e-5))
    name = "blue first, channels last"
    out = floats(frame(3, 2, len(name))).flip(1).permute(0, 2, 3, 1)
    cases.append(case(name, 3, 2, [], out, 1e-6, frame={"width": 3, "height": 2}, channels="bgr", layout="nhwc"))
    return cases


def numbers(seed, count, low, high):
    return torch.tensor([low + (high - low) * ((x >> 8) / 2**24) for x in stream(seed, count)], dtype=torch.float32)


def diffusion_case(name, scheduler, spec):
    """The graph is a stand-in: 0.3 x + 0.001 t + 0.05."""
    scheduler.set_timesteps(spec["steps"])
    noise = numbers(3, 4 * (spec["steps"] + 1), -1.7, 1.7)
    sample, taken = noise[None, :4], 4
    samples = []
    for t in scheduler.timesteps:
        output = 0.3 * sample + 0.001 * t.float() + 0.05
        original = diffusers.schedulers.scheduling_ddpm.randn_tensor
        draw = lambda *args, **kwargs: noise[None, taken : taken + 4]
        diffusers.schedulers.scheduling_ddpm.randn_tensor = draw
        sample = scheduler.step(output, t, sample).prev_sample
        diffusers.schedulers.scheduling_ddpm.randn_tensor = original
        if spec["sampler"] == "ddpm" and t > 0:
            taken += 4
        samples.append([round(float(v), 6) for v in sample[0]])
    return {"name": name, "spec": spec | {"output": "output"}, "times": [int(t) for t in scheduler.timesteps], "samples": samples}


def diffusion_cases():
    cases = []
    predictions = {"epsilon": "epsilon", "sample": "sample", "velocity": "v_prediction"}
    betas = {
        "squaredcos": ({"squaredcos": {}}, {"beta_schedule": "squaredcos_cap_v2"}),
        "linear": ({"linear": {"start": 0.001, "end": 0.2}}, {"beta_schedule": "linear", "beta_start": 0.001, "beta_end": 0.2}),
        "list": ({"list": [0.01 * (i + 1) for i in range(20)]}, {"trained_betas": [0.01 * (i + 1) for i in range(20)]}),
    }
    for kind, (ours, theirs) in betas.items():
        for prediction, prediction_type in predictions.items():
            for clip in (None, 0.9):
                shared = theirs | {
                    "num_train_timesteps": 20, "prediction_type": prediction_type, "clip_sample": clip is not None,
                    "clip_sample_range": clip or 1.0, "timestep_spacing": "leading",
                }
                spec = {"train_steps": 20, "steps": 6, "betas": ours, "prediction": prediction, "clip": clip, "steps_offset": 0}
                name = f"{kind} {prediction} clip {clip}"
                cases.append(diffusion_case(f"ddpm {name}", diffusers.DDPMScheduler(**shared, variance_type="fixed_small"), spec | {"sampler": "ddpm"}))
                for one, offset in ((True, 0), (False, 1)):
                    scheduler = diffusers.DDIMScheduler(**shared, set_alpha_to_one=one, steps_offset=offset)
                    more = {"sampler": "ddim", "set_alpha_to_one": one, "steps_offset": offset}
                    cases.append(diffusion_case(f"ddim {name} one {one}", scheduler, spec | more))
    return cases


def main():
    torch.set_num_threads(1)
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "pillow": PIL.__version__, "diffusers": diffusers.__version__}
    for path, cases in (("preprocess/tests/reference.json", image_cases()), ("loops/diffusion/reference.json", diffusion_cases())):
        file = HERE / path
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = ",\n ".join(json.dumps(c) for c in cases)
        file.write_text(f'{{"versions": {json.dumps(versions)},\n "cases": [\n {rows}]}}\n')
        print(file, len(cases), file.stat().st_size)


if __name__ == "__main__":
    main()
