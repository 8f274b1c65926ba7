"""A LeRobotDataset v3 of two short episodes with two small cameras, for tests."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

JOINTS = [f"{joint}.pos" for joint in ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")]
CAMERAS = ("observation.images.front", "observation.images.wrist")
WIDTH, HEIGHT, FPS = 64, 48, 30
EPISODES, LENGTH = 2, 12
TASKS = ("put the red cube into the box", "put the blue cube into the box")
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}


def write(folder, width=WIDTH, height=HEIGHT):
    """Writes the data set, its frames of this size, and gives its statistics."""
    folder = Path(folder)
    states, actions = vectors()
    images = {camera: [picture(index, shift, width, height) for index in range(len(states))] for shift, camera in enumerate(CAMERAS)}
    statistics = {"observation.state": of_vectors(states), "action": of_vectors(actions)}
    statistics.update({camera: of_images(pictures) for camera, pictures in images.items()})
    meta = folder / "meta"
    (meta / "episodes" / "chunk-000").mkdir(parents=True)
    (folder / "data" / "chunk-000").mkdir(parents=True)
    (meta / "info.json").write_text(json.dumps(info(width, height), indent=1) + "\n")
    (meta / "stats.json").write_text(json.dumps({name: {stat: value.tolist() for stat, value in stats.items()} for name, stats in statistics.items()}) + "\n")
    write_tasks(meta / "tasks.parquet")
    write_episodes(meta / "episodes" / "chunk-000" / "file-000.parquet")
    write_frames(folder / "data" / "chunk-000" / "file-000.parquet", states, actions, images)
    return {name: {stat: value for stat, value in stats.items()} for name, stats in statistics.items()}


def vectors():
    """Joints that swing, and the targets one step ahead."""
    times = np.concatenate([np.arange(LENGTH + 1) + 40 * episode for episode in range(EPISODES)])
    phases = np.arange(len(JOINTS))
    track = 30 * np.sin(times[:, None] / 9 + phases) + 5 * phases
    track[:, -1] = 50 + 40 * np.sin(times / 5)
    track = track.reshape(EPISODES, LENGTH + 1, len(JOINTS)).astype(np.float32)
    return track[:, :-1].reshape(-1, len(JOINTS)), track[:, 1:].reshape(-1, len(JOINTS))


def picture(index, shift, width, height):
    """A gradient with a square that moves."""
    rows, columns = np.mgrid[0:height, 0:width] * np.array([HEIGHT / height, WIDTH / width])[:, None, None]
    image = np.stack([rows * 4, columns * 3, rows + columns + 20 * shift], axis=-1).astype(np.uint8)
    left = 2 * (index % LENGTH) + 4
    image[(rows >= 16) & (rows < 28) & (columns >= left) & (columns < left + 12)] = (220, 40 + 60 * shift, 30)
    return image


def of_vectors(values):
    result = {"min": values.min(0), "max": values.max(0), "mean": values.mean(0), "std": values.std(0), "count": np.array([len(values)])}
    result.update({name: np.quantile(values, share, axis=0) for name, share in QUANTILES.items()})
    return {name: np.asarray(value, np.float32 if name != "count" else np.int64) for name, value in result.items()}


def of_images(images):
    pixels = np.stack(images).reshape(-1, 3).astype(np.float64) / 255
    return {name: value if name == "count" else value.reshape(3, 1, 1) for name, value in of_vectors(pixels).items()}


def info(width, height):
    vector = {"dtype": "float32", "shape": [len(JOINTS)], "names": JOINTS}
    image = {"dtype": "image", "shape": [height, width, 3], "names": ["height", "width", "channels"]}
    number = {name: {"dtype": kind, "shape": [1], "names": None} for name, kind in (("timestamp", "float32"), ("frame_index", "int64"), ("episode_index", "int64"), ("index", "int64"), ("task_index", "int64"))}
    return {
        "codebase_version": "v3.0",
        "robot_type": "so101_follower",
        "total_episodes": EPISODES,
        "total_frames": EPISODES * LENGTH,
        "total_tasks": len(TASKS),
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": FPS,
        "splits": {"train": f"0:{EPISODES}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
        "features": {"action": vector, "observation.state": vector, **{camera: image for camera in CAMERAS}, **number},
    }


def write_tasks(path):
    table = pa.table({"task_index": pa.array(range(len(TASKS)), pa.int64()), "__index_level_0__": pa.array(TASKS)})
    column = {"numpy_type": "int64", "pandas_type": "int64", "name": "task_index", "field_name": "task_index", "metadata": None}
    index = {"numpy_type": "object", "pandas_type": "unicode", "name": None, "field_name": "__index_level_0__", "metadata": None}
    pandas = {"index_columns": ["__index_level_0__"], "column_indexes": [], "columns": [column, index], "pandas_version": "2.3.3"}
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), path)


def write_episodes(path):
    numbers = range(EPISODES)
    zeros = pa.array([0] * EPISODES, pa.int64())
    columns = {
        "episode_index": pa.array(numbers, pa.int64()),
        "tasks": pa.array([[TASKS[number % len(TASKS)]] for number in numbers], pa.list_(pa.string())),
        "length": pa.array([LENGTH] * EPISODES, pa.int64()),
        "data/chunk_index": zeros,
        "data/file_index": zeros,
        "dataset_from_index": pa.array([number * LENGTH for number in numbers], pa.int64()),
        "dataset_to_index": pa.array([(number + 1) * LENGTH for number in numbers], pa.int64()),
        "meta/episodes/chunk_index": zeros,
        "meta/episodes/file_index": zeros,
    }
    pq.write_table(pa.table(columns), path)


def write_frames(path, states, actions, images):
    count = len(states)
    numbers = np.arange(count)
    vector, image = pa.list_(pa.float32()), pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {"action": pa.array(actions.tolist(), vector), "observation.state": pa.array(states.tolist(), vector)}
    for camera, pictures in images.items():
        columns[camera] = pa.array([{"bytes": png(picture), "path": f"frame-{index:06d}.png"} for index, picture in enumerate(pictures)], image)
    columns["timestamp"] = pa.array((numbers % LENGTH / FPS).astype(np.float32))
    columns["frame_index"] = pa.array(numbers % LENGTH, pa.int64())
    columns["episode_index"] = pa.array(numbers // LENGTH, pa.int64())
    columns["index"] = pa.array(numbers, pa.int64())
    columns["task_index"] = pa.array(numbers // LENGTH % len(TASKS), pa.int64())
    pq.write_table(pa.table(columns), path, compression="zstd")


def png(image):
    data = io.BytesIO()
    Image.fromarray(image).save(data, format="png", optimize=True)
    return data.getvalue()
