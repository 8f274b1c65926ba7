"""A package that `wink quantize` wrote, in ONNX Runtime: every precision runs there too, and how far it is from f32.

    python quantize_check.py --package DIR --data DIR      # --data: what data.py wrote
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

from art import Words
from export import STATE, recorded
from robot import Robot
from vlm import Config


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=48)
    args = parser.parse_args()
    manifest = json.loads((args.package / "policy.json").read_text())
    c = Config()
    (camera,) = manifest["observations"]["cameras"]
    resize = camera["transform"][-1].get("resize", {})
    if (resize.get("width"), resize.get("height")) != tuple(c.image):
        raise SystemExit(f"{args.package}: looks at other pictures than --data holds")
    words = Words(args.package / manifest["observations"]["text"]["tokenizer"], c.max_tokens)
    feeds = list(recorded(args, c, Robot.load("wx250s"), words, args.frames))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # Without VNNI its products of uint8 and int8 saturate at 16 bits; this takes the exact ones.
    options.add_session_config_entry("session.x64quantprecision", "1")
    wanted = None
    for name in sorted(manifest["precisions"], key=lambda name: name != "f32"):
        files = manifest["precisions"][name]
        text, act = (ort.InferenceSession(str(args.package / files[stage]), options) for stage in ("text", "act"))
        actions, times = [], []
        for values in feeds:
            encoded, mask = text.run(None, {"tokens": values["tokens"]})
            start = time.perf_counter()
            actions.append(act.run(None, {"image": values[camera["name"]], "state": values[STATE], "text": encoded, "text_mask": mask})[0])
            times.append(time.perf_counter() - start)
        wanted = wanted or actions
        off = np.array(actions) - np.array(wanted)
        print(f"{name:12} off f32: rms {np.sqrt((off**2).mean()):.4f}, largest {np.abs(off).max():.3f}; act graph {np.median(times) * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
