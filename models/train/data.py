"""The robot's demonstrations: what `wink record --no-images` and `wink frames` wrote, as tensors that training reads.

    wink record --episodes 500 --noise 0.0015 --no-images --out D/demos
    wink frames --data D/demos --every 5 --crop 32,48,160,112 --out D/frames.npy
    python data.py --demos D/demos --frames D/frames.npy --out D/train      # shrinks the frames once
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

from loop import Refused
from robot import Robot
from vlm import Config

COLUMNS = ("observation.state", "action", "observation.cube_position", "observation.target_card_position", "episode_index", "frame_index", "task_index")


def check_spaces(demos, robot):
    """The data set's rate, action and state must be the ones that the policy speaks."""
    info = json.loads((demos / "meta" / "info.json").read_text())
    for key, names in (("action", robot.action), ("observation.state", robot.state)):
        found = info["features"].get(key, {}).get("names")
        found = found.get("motors", found) if isinstance(found, dict) else found
        if found != names:
            raise Refused(f"{demos}: {key} is {found}, where {robot.name} needs {names}: record with that arm")
    if info["fps"] != robot.hz:
        raise Refused(f"{demos}: {info['fps']} frames a second, where {robot.name} acts at {robot.hz} Hz")


def read_columns(demos):
    parts = {n: [] for n in COLUMNS}
    files = sorted((demos / "data").glob("*/*.parquet"))
    if not files:
        raise Refused(f"{demos}: no data/*/*.parquet in it: is it what wink record wrote?")
    for file in files:
        table = pq.read_table(file, columns=list(COLUMNS))
        for n in COLUMNS:
            column = table[n].combine_chunks()
            flat = column.flatten() if hasattr(column, "flatten") and column.type.num_fields else column
            values = flat.to_numpy(zero_copy_only=False)
            parts[n].append(values.reshape(len(column), -1) if flat is not column else values)
    return {n: np.concatenate(v) for n, v in parts.items()}


# Frames over which a robot's motion is looked at, and the change over them, in the spread of each value, below which it is idle.
WINDOW, IDLE = 9, 0.12


def idle(actions, states, episodes):
    """[n]: whether a frame shows an arm that waits for nothing that a policy could see: neither actions nor states go anywhere. The
    noise of the demonstrations is averaged out."""
    still = np.ones(len(actions), bool)
    for first, last in bounds(episodes):
        for values in (actions, states):
            part = values[first:last] / np.maximum(values.std(0), 1e-6)
            padded = np.pad(part, ((WINDOW, WINDOW), (0, 0)), "edge")
            sums = np.cumsum(np.r_[np.zeros((1, part.shape[1]), padded.dtype), padded], 0)
            mean = (sums[WINDOW:] - sums[:-WINDOW]) / WINDOW
            change = np.abs(mean[WINDOW:] - mean[:-WINDOW]).max(1)
            # Between the mean of the frames before and that of the frames from here on.
            still[first:last] &= change[: len(part)] < IDLE
    return still


def bounds(episodes):
    """First frame of each episode, and the one behind its last."""
    first = np.nonzero(np.r_[True, episodes[1:] != episodes[:-1]])[0]
    return zip(first, np.r_[first[1:], len(episodes)])


def chunks(actions, episodes, steps, skipped=None):
    """[n, steps, A]: what the expert does from each frame on; the last action is repeated beyond the end. Frames that are `skipped` [n]
    are left out of what follows: a policy without memory would learn to wait, and wait for ever."""
    n = len(actions)
    kept = np.arange(n) if skipped is None else np.nonzero(~skipped)[0]
    first = np.searchsorted(kept, np.arange(n))
    last = np.searchsorted(kept, np.searchsorted(episodes, episodes, side="right")) - 1
    return actions[kept[np.minimum(first[:, None] + np.arange(steps), last[:, None])]]


def shrink(frame, size):
    """As the runtime does: bilinear, the triangle widened where the picture shrinks."""
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def shrunk(camera, frames, image, count, every, out):
    """Writes the kept frames of a camera, shrunk to `image` (width, height)."""
    pictures = np.load(frames, mmap_mode="r")
    x, y, w, h = camera.crop
    if pictures.shape != (count, h, w, 3):
        raise Refused(f"{frames}: {pictures.shape}, where {(count, h, w, 3)} is needed: run wink frames for {camera.name} with --every {every} --crop {x},{y},{w},{h}")
    images = np.lib.format.open_memmap(out, "w+", np.uint8, (count, 3, image[1], image[0]))
    for i, frame in enumerate(pictures):
        images[i] = shrink(np.ascontiguousarray(frame), image)
    images.flush()


def convert(demos, frames, wrist, out, every, robot, chunk):
    c = Config()
    check_spaces(demos, robot)
    if (robot.wrist is None) != (wrist is None):
        raise Refused(f"{robot.name}: --wrist {'is for a robot that has such a camera' if wrist else 'is needed: frames of ' + robot.wrist.name}")
    columns = read_columns(demos)
    tasks = pq.read_table(demos / "meta" / "tasks.parquet").to_pydict()
    key = next(k for k in tasks if k != "task_index")
    task_of = dict(zip(tasks["task_index"], tasks[key]))
    episodes, number = columns["episode_index"], columns["frame_index"]
    kept = np.nonzero((number + episodes) % every == 0)[0]
    out.mkdir(parents=True, exist_ok=True)
    shrunk(robot.front, frames, c.image, len(kept), every, out / "images.npy")
    if wrist:
        shrunk(robot.wrist, wrist, robot.wrist.image, len(kept), every, out / "wrist.npy")
    action, state = columns["action"].astype(np.float32), columns["observation.state"].astype(np.float32)
    names = sorted(set(task_of[t] for t in np.unique(columns["task_index"]).tolist()))
    order = {t: i for i, t in enumerate(names)}
    moves = robot.moves()
    np.savez(
        out / "columns.npz", kept=kept, chunk=chunks(action, episodes, chunk, idle(action, state, episodes) if robot.arm else None), state=state, episode=episodes,
        block=columns["observation.cube_position"].astype(np.float32), card=columns["observation.target_card_position"].astype(np.float32),
        task=np.array([order[task_of[t]] for t in columns["task_index"].tolist()]),
        state_mean=state.mean(0), state_std=np.maximum(state.std(0), 0.01), action_mean=action.mean(0) * moves, action_std=np.where(moves, np.maximum(action.std(0), 0.01), 1),
    )
    (out / "tasks.json").write_text(json.dumps(names))
    (out / "robot.json").write_text(json.dumps({"name": robot.name, "chunk": chunk}))
    print(f"{len(kept)} of {len(episodes)} frames with pictures, {len(np.unique(episodes))} episodes, {len(names)} instructions")


class Demos:
    """The converted demonstrations: everything of every frame, pictures of the kept ones. Normalised tensors."""

    def __init__(self, folder, c, like=None):
        """`like`: other demonstrations whose normalisation is used instead of these ones' own."""
        self.c = c
        made_for = json.loads((folder / "robot.json").read_text())
        self.robot, self.chunk = Robot.load(made_for["name"]), made_for["chunk"]
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        self.wrist = np.load(folder / "wrist.npy", mmap_mode="r") if self.robot.wrist else None
        columns = np.load(folder / "columns.npz")
        self.kept, self.episode, self.task = columns["kept"], columns["episode"], columns["task"]
        self.tasks = json.loads((folder / "tasks.json").read_text())
        for k in ("state_mean", "state_std", "action_mean", "action_std"):
            setattr(self, k, getattr(like, k) if like else torch.from_numpy(columns[k]).float())
        self.block, self.card = (torch.from_numpy(columns[k]).float() for k in ("block", "card"))
        self.block_uv, self.card_uv = (torch.from_numpy(self.robot.front.project(columns[k].astype(np.float64))).float() for k in ("block", "card"))
        self.states = (torch.from_numpy(columns["state"]) - self.state_mean) / self.state_std
        self.chunks = (torch.from_numpy(columns["chunk"]) - self.action_mean) / self.action_std

    def split(self, hold_out=0.05):
        """Which of the kept frames belong to the training episodes, and which to the last episodes, held out."""
        episode = self.episode[self.kept]
        border = int(round((episode.max() + 1) * (1 - hold_out)))
        return np.nonzero(episode < border)[0], np.nonzero(episode >= border)[0]

    def batch(self, picture_index, words):
        """What training reads of these kept frames (sorted)."""
        frame = self.kept[picture_index]
        tasks, row = np.unique(self.task[frame], return_inverse=True)
        texts = words([self.tasks[t] for t in tasks])
        more = {} if self.wrist is None else {"wrist": torch.from_numpy(self.wrist[picture_index])}
        return more | {
            "image": torch.from_numpy(self.images[picture_index]), "state": self.states[frame], "chunk": self.chunks[frame], "block": self.block[frame], "card": self.card[frame, :2],
            "block_uv": self.block_uv[frame].clamp(0, 1), "card_uv": self.card_uv[frame].clamp(0, 1), "tokens": torch.from_numpy(texts), "text_row": torch.from_numpy(row),
        }

    def motion(self, rng, n, codes=None, fixed_camera=True):
        """States with the truth about the table, and what the expert does: no picture needed."""
        index = rng.integers(0, len(self.states), n)
        more = {} if codes is None else {"motion_codes": codes[index]}
        if fixed_camera:
            more |= {"motion_block_uv": self.block_uv[index], "motion_card_uv": self.card_uv[index]}
        return more | {"motion_state": self.states[index], "motion_block": self.block[index], "motion_card": self.card[index, :2], "motion_chunk": self.chunks[index]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demos", type=Path, required=True)
    parser.add_argument("--robot", default="wx250s", help="a file of robots/, without .toml")
    parser.add_argument("--frames", type=Path, required=True, help="of the camera that sees the table")
    parser.add_argument("--wrist", type=Path, help="of the wrist camera, where the robot has one")
    parser.add_argument("--chunk", type=int, default=16, help="actions of a chunk")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--every", type=int, default=5, help="as given to wink frames")
    args = parser.parse_args()
    convert(args.demos, args.frames, args.wrist, args.out, args.every, Robot.load(args.robot), args.chunk)


if __name__ == "__main__":
    main()
