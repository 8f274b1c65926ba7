"""What a frozen VLM sees in every kept frame, computed once and shared by the runs that leave it frozen."""

import time

import numpy as np
import torch

import loop
from scenes import normalised


class Features:
    """Stride-8 features and stride-16 tokens as f16 memory maps; resumes where an earlier run stopped."""

    def __init__(self, vlm, demos, folder):
        with loop.only_one(folder):
            self.maps = self.compute(vlm, demos, folder)

    def compute(self, vlm, demos, folder):
        folder.mkdir(parents=True, exist_ok=True)
        c, count = vlm.c, len(demos.images)
        rows, cols = c.fine_grid
        shapes = {"fine": (count, c.widths[2], rows, cols), "tokens": (count, c.grid[0] * c.grid[1], c.dim)}
        progress = folder / "done"
        first = int(progress.read_text()) if progress.exists() else 0
        maps = {k: np.lib.format.open_memmap(folder / f"{k}.npy", "r+" if first else "w+", np.float16, None if first else s) for k, s in shapes.items()}
        begin, was_training = time.monotonic(), vlm.training
        vlm.eval()
        for start in range(first, count, 64):
            with torch.no_grad():
                images = normalised(torch.from_numpy(np.array(demos.images[start : start + 64])), c).contiguous(memory_format=torch.channels_last)
                for m, v in zip(maps.values(), vlm.vision(images)):
                    m[start : start + 64] = v.half().contiguous().numpy()
            if start // 64 % 40 == 39 or start + 64 >= count:
                for m in maps.values():
                    m.flush()
                progress.write_text(str(min(start + 64, count)))
                print(f"features: {min(start + 64, count)} of {count}, {time.monotonic() - begin:.0f} s", flush=True)
        vlm.train(was_training)
        return {k: np.load(folder / f"{k}.npy", mmap_mode="r") for k in shapes}

    def at(self, index):
        """The features of these frames, sorted, as a batch holds them."""
        return {"fine": torch.from_numpy(self.maps["fine"][index]), "image_tokens": torch.from_numpy(self.maps["tokens"][index])}
