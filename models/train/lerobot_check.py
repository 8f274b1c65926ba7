"""By hand: loads what `wink record` wrote with lerobot itself, offline, and trains one step of lerobot's own ACT on it.

    python lerobot_check.py --demos DIR       # lerobot==0.4.4
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from lerobot.configs.types import FeatureType
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.datasets.utils import dataset_to_policy_features
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.act.processor_act import make_act_pre_post_processors

FEATURES = ("observation.images.front", "observation.state", "action")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demos", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)

    plain = LeRobotDataset("local/demos", root=args.demos)
    meta = plain.meta
    print(f"{meta.total_episodes} episodes, {meta.total_frames} frames at {meta.fps} Hz, {meta.total_tasks} tasks")
    first, last = plain[0], plain[len(plain) - 1]
    for key in FEATURES:
        print(f"  {key}: {tuple(first[key].shape)} {first[key].dtype}")
    print(f"  first task: {first['task']!r}; last: {last['task']!r}, episode {int(last['episode_index'])}, frame {int(last['frame_index'])}")

    features = {k: v for k, v in dataset_to_policy_features(meta.features).items() if k in FEATURES}
    outputs = {k: v for k, v in features.items() if v.type is FeatureType.ACTION}
    inputs = {k: v for k, v in features.items() if k not in outputs}
    config = ACTConfig(input_features=inputs, output_features=outputs, chunk_size=16, n_action_steps=8, pretrained_backbone_weights=None, device="cpu")
    policy = ACTPolicy(config)
    before, _ = make_act_pre_post_processors(config, dataset_stats=meta.stats)

    times = {"action": [i / meta.fps for i in range(config.chunk_size)]}
    data = LeRobotDataset("local/demos", root=args.demos, delta_timestamps=times)
    batch = next(iter(torch.utils.data.DataLoader(data, batch_size=args.batch, shuffle=True)))
    batch = before(batch)
    optimiser = torch.optim.AdamW(policy.get_optim_params(), lr=1e-5)
    policy.train()
    for step in range(2):
        loss, parts = policy.forward(batch)
        print(f"ACT step {step}: loss {loss.item():.4f} ({', '.join(f'{k} {v:.4f}' for k, v in parts.items())})")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


if __name__ == "__main__":
    main()
