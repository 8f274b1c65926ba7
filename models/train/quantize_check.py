"""A package that `wink quantize` wrote, in ONNX Runtime: every precision runs there too, and how far it is from f32.

    python quantize_check.py PACKAGE
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

from export import seeded

RUNS = 20


def main():
    folder = Path(sys.argv[1])
    manifest = json.loads((folder / "policy.json").read_text())
    image, state = manifest["image"], manifest["state"]
    tokens = np.zeros((1, manifest["text"]["max_tokens"]), np.int64)
    tokens[0, :7] = np.arange(2, 9)
    # Patches, not noise: no policy ever saw noise, and what it does there is a toss.
    picture = np.kron(seeded((1, 3, 5, 7), 3), np.ones((1, 1, -(-image["height"] // 5), -(-image["width"] // 7)), np.float32))
    feeds = {"image": picture[:, :, : image["height"], : image["width"]], "state": seeded((1, len(state["names"])), 4), "tokens": tokens}
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    actions = {}
    for name in sorted(manifest["precisions"], key=lambda name: name != "f32"):
        known = dict(feeds)
        for graph in sorted(manifest["precisions"][name]["graphs"], key=lambda g: g["role"] != "text"):
            session = ort.InferenceSession(str(folder / graph["file"]), options)
            inputs = {tensor: known[feed] for feed, tensor in graph["inputs"].items()}
            outputs = list(graph["outputs"].items())
            run = lambda: session.run([tensor for _, tensor in outputs], inputs)
            known |= {feed: value for (feed, _), value in zip(outputs, run())}
        times = []
        for _ in range(RUNS):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        actions[name] = known["action"]
        off = actions[name] - actions["f32"]
        print(f"{name:12} off f32: rms {np.sqrt((off**2).mean()):.4f}, largest {np.abs(off).max():.4f}; act graph {np.median(times) * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
