"""What `wink record` wrote (LeRobotDataset v3.0), cropped once into a memory map that training reads.

    python data.py --demos DIR --out DIR [--every 3]
"""

import argparse
import io
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

from model import Config

IMAGE = "observation.images.front"
# The camera of the benchmark: eye, the point it looks at, vertical field of view (rad).
EYE, AT, FOV = (-0.15, 0.49, 0.564), (0.15, 0.65, 0.0), 1.2


def project(points, c):
    """World points [n,3] -> (u, v) in 0..1 of the crop."""
    eye, at = np.array(EYE), np.array(AT)
    forward = (at - eye) / np.linalg.norm(at - eye)
    right = np.cross(forward, (0, 0, 1.0))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    d = points - eye
    focal = c.frame / 2 / math.tan(FOV / 2)
    pixels = c.frame / 2 + focal * np.stack([d @ right, d @ down], -1) / (d @ forward)[:, None]
    x, y, w, h = c.crop
    return (pixels - (x, y)) / (w, h)


def read_columns(files):
    names = ["observation.state", "action", "observation.cube_position", "observation.target_card_position", "episode_index", "frame_index", "task_index"]
    parts = {n: [] for n in names}
    for file in files:
        data = pq.read_table(file, columns=names)
        for n in names:
            column = data[n].combine_chunks()
            flat = column.flatten() if hasattr(column, "flatten") and column.type.num_fields else column
            values = flat.to_numpy(zero_copy_only=False)
            parts[n].append(values.reshape(len(column), -1) if flat is not column else values)
    return {n: np.concatenate(v) for n, v in parts.items()}


def chunks(actions, episodes, steps):
    """[n, steps, A]: what the expert does from each frame on; the last action is repeated beyond the end."""
    n = len(actions)
    last = np.zeros(n, np.int64)
    end = n - 1
    for i in range(n - 1, -1, -1):
        if i < n - 1 and episodes[i] != episodes[i + 1]:
            end = i
        last[i] = end
    index = np.minimum(np.arange(n)[:, None] + np.arange(steps), last[:, None])
    return actions[index]


def convert(args):
    c = Config()
    files = sorted((args.demos / "data").glob("*/*.parquet"))
    columns = read_columns(files)
    tasks = pq.read_table(args.demos / "meta" / "tasks.parquet").to_pydict()
    key = next(k for k in tasks if k != "task_index")
    task_of = dict(zip(tasks["task_index"], tasks[key]))
    episodes, frames = columns["episode_index"], columns["frame_index"]
    keep = np.nonzero((frames + episodes) % args.every == 0)[0]
    args.out.mkdir(parents=True, exist_ok=True)
    x, y, w, h = c.crop
    images = np.lib.format.open_memmap(args.out / "images.npy", "w+", np.uint8, (len(keep), h, w, 3))
    wanted = np.full(len(episodes), -1)
    wanted[keep] = np.arange(len(keep))
    begin, start = time.monotonic(), 0

    def decode(job):
        slot, raw = job
        picture = Image.open(io.BytesIO(raw)).convert("RGB")
        if picture.size != (c.frame, c.frame):
            raise SystemExit(f"{args.demos}: frames are {picture.size}, not {c.frame} x {c.frame}")
        images[slot] = np.asarray(picture)[y : y + h, x : x + w]

    with ThreadPoolExecutor(args.threads) as pool:
        for file in files:
            for batch in pq.ParquetFile(file).iter_batches(512, columns=[IMAGE]):
                raw = batch.column(0).field("bytes")
                jobs = [(wanted[start + i], raw[i].as_py()) for i in range(len(raw)) if wanted[start + i] >= 0]
                list(pool.map(decode, jobs))
                start += len(raw)
            print(f"{file.name}: {start} frames read, {time.monotonic() - begin:.0f} s", flush=True)
    images.flush()
    action = columns["action"].astype(np.float32)
    state = columns["observation.state"].astype(np.float32)
    names = sorted({task_of[t] for t in columns["task_index"].tolist()})
    number = {t: i for i, t in enumerate(names)}
    np.savez(
        args.out / "columns.npz",
        chunk=chunks(action, episodes, c.chunk)[keep], state=state[keep], episode=episodes[keep], frame=frames[keep],
        block=columns["observation.cube_position"].astype(np.float32)[keep], card=columns["observation.target_card_position"].astype(np.float32)[keep],
        task=np.array([number[task_of[t]] for t in columns["task_index"][keep].tolist()]),
        state_mean=state.mean(0), state_std=np.maximum(state.std(0), 0.01), action_mean=np.r_[action.mean(0)[:6], 0], action_std=np.r_[np.maximum(action.std(0)[:6], 0.01), 1],
    )
    (args.out / "tasks.json").write_text(json.dumps(names))
    print(f"{len(keep)} of {len(episodes)} frames, {len(set(episodes.tolist()))} episodes, {len(names)} instructions")


class Demos:
    """The converted demonstrations, as normalised tensors."""

    def __init__(self, folder, c):
        self.c = c
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        columns = np.load(folder / "columns.npz")
        self.columns = {k: columns[k] for k in columns}
        self.tasks = json.loads((folder / "tasks.json").read_text())
        self.state_mean, self.state_std = (torch.from_numpy(self.columns[f"state_{k}"]).float() for k in ("mean", "std"))
        self.action_mean, self.action_std = (torch.from_numpy(self.columns[f"action_{k}"]).float() for k in ("mean", "std"))
        self.block, self.card = (torch.from_numpy(self.columns[k]).float() for k in ("block", "card"))
        self.block_uv, self.card_uv = (torch.from_numpy(project(self.columns[k].astype(np.float64), c)).float() for k in ("block", "card"))
        self.states = (torch.from_numpy(self.columns["state"]) - self.state_mean) / self.state_std
        self.chunks = (torch.from_numpy(self.columns["chunk"]) - self.action_mean) / self.action_std

    def __len__(self):
        return len(self.images)

    def image(self, index):
        pixels = torch.from_numpy(self.images[np.asarray(index)]).permute(0, 3, 1, 2).float() / 255
        mean, std = (torch.tensor(v)[:, None, None] for v in (self.c.image_mean, self.c.image_std))
        return ((pixels - mean) / std).contiguous()

    def state(self, index):
        return self.states[index]

    def tokens(self, tokenizer, index):
        from art import Words

        return Words(tokenizer, self.c.max_tokens)([self.tasks[t] for t in self.columns["task"][index]])

    def split(self, hold_out=0.05):
        """Frames of the training episodes and of the last episodes, held out."""
        episode = self.columns["episode"]
        border = int(round((episode.max() + 1) * (1 - hold_out)))
        return np.nonzero(episode < border)[0], np.nonzero(episode >= border)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--every", type=int, default=3, help="keep every n-th frame, another phase each episode")
    parser.add_argument("--threads", type=int, default=1)
    convert(parser.parse_args())


if __name__ == "__main__":
    main()
