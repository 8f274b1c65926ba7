"""Where the knowledge went: what each layer group of the VLM still tells about emojis that the robot never saw.

    python probe.py --prior CKPT --run RUN_DIR --art DIR        # writes RUN_DIR/probe.json

On fresh pictures of cards (not the robot's), for the prior ("before") and the trained policy's VLM ("after"):
  linear_probe   a linear classifier over the 100 val emojis, trained on the features of one half of the pictures, scored on the other
  zero_shot      which of three cards a label names, through the contrastive space; layers below the last are read through its
                 output norm (a logit lens)
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from art import ROBOT_SENTENCE, Words, table
from export import load_policy
from pretrain import load_vlm
from scenes import Art, normalised

SCENES, CARDS, STYLE = 800, 3, "noto"


def pictures(art_cache, c, split, scenes):
    """The same scenes for every model: images u8, which emoji lies where."""
    art = Art(art_cache, 4242, styles=(STYLE,))
    allowed = np.array([i for i, r in enumerate(table()) if r["split"] == split])
    parts = [art.tables(16, *c.image, cards=CARDS, allowed=allowed) for _ in range(scenes // 16)]
    images, emoji, centres = (torch.cat([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), np.concatenate([p[2] for p in parts]))
    return images, torch.from_numpy(np.searchsorted(allowed, emoji)), torch.from_numpy(centres).float(), allowed


def layers(vlm, images):
    """Name -> tokens [B,N,D] (stride 8 pooled to stride 16), from the stem to the fused tokens' input."""
    fine = vlm.vision.stem(normalised(images, vlm.c).contiguous(memory_format=torch.channels_last))
    out = {"stem, stride 8": F.avg_pool2d(fine, 2).flatten(2).transpose(1, 2)}
    x = vlm.vision.embed(fine).flatten(2).transpose(1, 2)
    out["stem, stride 16"] = x
    x = x + vlm.vision.position
    for i, layer in enumerate(vlm.vision.layers):
        x = layer(x)
        out[f"vision layer {i + 1}"] = x
    return out


@torch.no_grad()
def read(vlm, art_cache, data):
    """Per layer group: features at the cards [n,D], and how often the named one of three is found."""
    images, emoji, centres, allowed = data
    words = Words(art_cache / "tokenizer.json", vlm.c.max_tokens)
    captions = json.loads((art_cache / "captions.json").read_text())
    text, mask = vlm.text(torch.from_numpy(words([ROBOT_SENTENCE.format(captions[i][0]) for i in allowed])))
    sentence = vlm.matcher.sentence(text, mask)
    features, right = {}, {}
    for start in range(0, len(images), 64):
        part = slice(start, start + 64)
        for name, tokens in layers(vlm, images[part]).items():
            features.setdefault(name, []).append(vlm.at(tokens, centres[part]).flatten(0, 1))
            if tokens.shape[-1] == vlm.c.dim:
                vectors = vlm.matcher.image_vectors(vlm.at(vlm.vision.norm(tokens), centres[part]))
                scores = torch.einsum("bcd,bkd->bkc", vectors, sentence[emoji[part]])
                right[name] = right.get(name, 0) + int((scores.argmax(-1) == torch.arange(CARDS)).sum())
    return {k: torch.cat(v) for k, v in features.items()}, {k: v / emoji.numel() for k, v in right.items()}


def linear_probe(features, labels, classes):
    """Accuracy on the second half of a ridge-regularised logistic regression fitted to the first."""
    half = len(features) // 2
    mean, std = features[:half].mean(0), features[:half].std(0) + 1e-4
    x = (features - mean) / std
    weight = torch.zeros(x.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = F.cross_entropy(x[:half] @ weight + bias, labels[:half]) + 1e-3 * weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    with torch.no_grad():
        return float(((x[half:] @ weight + bias).argmax(1) == labels[half:]).float().mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", type=Path, required=True)
    parser.add_argument("--run", type=Path, nargs="+", required=True)
    parser.add_argument("--art", type=Path, required=True)
    parser.add_argument("--split", default="val", choices=("train", "val"))
    parser.add_argument("--scenes", type=int, default=SCENES)
    args = parser.parse_args()
    torch.set_num_threads(1)
    prior = load_vlm(args.prior).eval()
    data = pictures(args.art, prior.c, args.split, args.scenes)
    labels, classes = data[1].flatten(), len(data[3])
    measure = lambda vlm: (lambda f, z: ({k: linear_probe(v, labels, classes) for k, v in f.items()}, z))(*read(vlm, args.art, data))
    before = measure(prior)
    for run in args.run:
        after = measure(load_policy(run / "policy.ckpt")[0].vlm)
        groups = []
        for name in before[0]:
            group = {"group": name, "linear_probe": {"before": round(before[0][name], 4), "after": round(after[0][name], 4), "n": len(labels) - len(labels) // 2}}
            if name in before[1]:
                group["zero_shot"] = {"before": round(before[1][name], 4), "after": round(after[1][name], 4), "n": len(labels)}
            groups.append(group)
        (run / "probe.json").write_text(json.dumps({"split": args.split, "style": STYLE, "groups": groups}, indent=1) + "\n")
        print(run, json.dumps(groups))


if __name__ == "__main__":
    main()
