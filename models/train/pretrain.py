"""The prior: what a VLM would know. Emoji art and words only; the robot's table is never shown.

    python pretrain.py --art DIR --out CKPT      # contrastive, captioning and grounding at once; resumes
    python pretrain.py --art DIR --out CKPT --check [--json FILE]    # the gate: zero-shot naming, captioning, grounding per split and style
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import loop
from art import HELD_OUT_STYLE, ROBOT_SENTENCE, STYLES, Words, table
from scenes import Art, Captions, normalised
from vlm import Config, Vlm, heat_loss, unit

CROWDS, TABLES, QUERIES = 10, 8, 3
# Share of the steps in which the stem learns alone, pictures of single emojis only: a transformer on top learns nothing before it does.
STEM_SHARE = 0.45
# Every which emoji of a crowd gets a sentence.
TOLD = 4


class Scenes:
    """The batch of a step: crowds with sentences for half of their emojis, tables with a few questions each."""

    def __init__(self, cache, c, crowds=CROWDS, tables=TABLES, tables_from=0):
        self.art, self.words, self.c = Art(cache, 0), Words(cache / "tokenizer.json", c.max_tokens), c
        self.captions = Captions(cache, self.art.rng)
        self.crowds, self.tables, self.tables_from = crowds, tables, tables_from
        labels = self.words([own[0] for own in self.captions.own])[:, : c.caption_tokens]
        self.labels = torch.from_numpy(labels)

    def __call__(self, rng, step):
        self.art.rng = self.captions.rng = rng
        width, height = self.c.image
        batch = {}
        if self.crowds:
            images, emoji, centres = self.art.crowds(self.crowds, width, height)
            flat = emoji.reshape(-1)
            told = np.sort(rng.choice(len(flat), len(flat) // TOLD, replace=False))
            words, sentences = self.captions.pick(flat[told])
            # A keyword may fit several emojis; those that it fits as well are no mistakes.
            fits = self.captions.also_named(words, flat[told])
            np.fill_diagonal(fits, False)
            named = np.array([[w in m for m in self.captions.meanings] for w in words])
            named[np.arange(len(told)), flat[told]] = False
            batch |= {
                "crowd": images, "centres": torch.from_numpy(centres).float(), "emoji": torch.from_numpy(flat), "told": torch.from_numpy(told), "sentences": torch.from_numpy(self.words(sentences)),
                "fits": torch.from_numpy(fits), "also": torch.from_numpy(named), "labels": self.labels[flat],
            }
        if self.tables and step >= self.tables_from:
            images, emoji, places = self.art.tables(self.tables, width, height)
            row = np.arange(self.tables).repeat(QUERIES)
            which = np.concatenate([rng.choice(emoji.shape[1], QUERIES, replace=False) for _ in range(self.tables)])
            _, questions = self.captions.pick(emoji[row, which], robot=0.6)
            batch |= {"table": images, "row": torch.from_numpy(row), "place": torch.from_numpy(places[row, which]).float(), "questions": torch.from_numpy(self.words(questions))}
        return batch


class Pretraining(nn.Module):
    """A VLM with one learned vector per emoji beside it, which gives pictures and words a fixed target early on. The stem learns first."""

    def __init__(self, vlm, emojis):
        super().__init__()
        self.vlm = vlm
        self.prototypes = nn.Parameter(torch.randn(emojis, vlm.c.dim))

    def forward(self, batch):
        return vlm_losses(self.vlm, batch, self.prototypes, stem_only=batch["progress"] < STEM_SHARE)


def vlm_losses(vlm, batch, prototypes=None, stem_only=False):
    """The prior's objectives on a batch of `Scenes`: contrastive, captioning, grounding. Also what co-training adds."""
    loss, figures = 0.0, {}
    if "crowd" in batch:
        _, tokens = vlm.vision(normalised(batch["crowd"], vlm.c).contiguous(memory_format=torch.channels_last), stem_only)
        there = vlm.at(tokens, batch["centres"]).flatten(0, 1)
        vectors = vlm.matcher.image_vectors(there)
        text, mask = vlm.text(batch["sentences"])
        sentence = vlm.matcher.sentence(text, mask)
        logits = vectors[batch["told"]] @ sentence.T * vlm.matcher.scale()
        logits = logits.masked_fill(batch["fits"], -1e4)
        target = torch.arange(len(sentence), device=logits.device)
        match = (F.cross_entropy(logits, target, label_smoothing=0.02) + F.cross_entropy(logits.T, target, label_smoothing=0.02)) / 2
        names = vlm.captioner(there, vlm.text.embed.weight)
        # The first padding says that the caption ends; what follows it is not asked for.
        asked = torch.cat([torch.ones_like(batch["labels"][:, :1], dtype=torch.bool), batch["labels"][:, :-1] != 0], 1)
        caption = F.cross_entropy(names[asked], batch["labels"][asked])
        loss = loss + match + 0.3 * caption
        figures |= {"match": (logits.argmax(1) == target).float().mean(), "caption": caption}
        if prototypes is not None:
            emoji = batch["emoji"]
            pictures, words = vectors @ unit(prototypes).T * 20, sentence @ unit(prototypes).T * 20
            loss = loss + F.cross_entropy(pictures, emoji) + 0.5 * F.cross_entropy(words.masked_fill(batch["also"], -1e4), emoji[batch["told"]])
            figures["named"] = (pictures.argmax(1) == emoji).float().mean()
    if "table" in batch:
        _, tokens = vlm.vision(normalised(batch["table"], vlm.c).contiguous(memory_format=torch.channels_last))
        text, mask = vlm.text(batch["questions"])
        _, heat = vlm.ground(tokens[batch["row"]], text, mask)
        rows, cols = vlm.c.grid
        where, found = heat_loss(vlm.cells, (cols, rows), batch["place"], heat)
        loss = loss + where
        figures["found"] = found
    return loss, figures


@torch.no_grad()
def check(vlm, cache, scenes, seed=99):
    """Zero-shot scores on fresh pictures of three cards, per style and split, each with its n."""
    vlm.eval()
    c = vlm.c
    words = Words(cache / "tokenizer.json", c.max_tokens)
    rows = table()
    captions = json.loads((cache / "captions.json").read_text())
    text, mask = vlm.text(torch.from_numpy(words([ROBOT_SENTENCE.format(own[0]) for own in captions])))
    sentence = vlm.matcher.sentence(text, mask)
    labels = words([own[0] for own in captions])[:, : c.caption_tokens]
    cells = vlm.cells.numpy()
    result = {}
    for style in STYLES:
        art = Art(cache, seed, styles=(style,))
        for split in ("train", "val", "rest"):
            allowed = np.array([i for i, r in enumerate(rows) if r["split"] == split and art.has_art[i]])
            three = every = caption = heat = count = 0
            for _ in range(max(1, scenes // 16)):
                images, emoji, centres = art.tables(16, *c.image, cards=3, allowed=allowed)
                _, tokens = vlm.vision(normalised(images, c))
                there = vlm.at(tokens, torch.from_numpy(centres).float())
                vectors = vlm.matcher.image_vectors(there)
                names = vlm.captioner(there, vlm.text.embed.weight).argmax(-1).numpy()
                for j in range(3):
                    named = emoji[:, j]
                    three += int(((vectors * sentence[named][:, None]).sum(-1).argmax(1).numpy() == j).sum())
                    every += int(((vectors[:, j] @ sentence[: len(rows)].T).argmax(1).numpy() == named).sum())
                    ended = np.cumsum(labels[named] == 0, 1) > 1
                    caption += int(((names[:, j] == labels[named]) | ended).all(1).sum())
                    _, logits = vlm.ground(tokens, text[named], mask[named])
                    peak = cells[logits.argmax(1).numpy()]
                    heat += int((((((peak[:, None] - centres) * c.image) ** 2).sum(-1)).argmin(1) == j).sum())
                    count += len(named)
            share = lambda hits: round(hits / count, 4)
            result[f"{style}/{split}"] = {"name_of_3": share(three), "name_of_328": share(every), "caption": share(caption), "grounding": share(heat), "n": count}
    return result


def load_vlm(path):
    content = loop.load(path, "vlm")
    vlm = Vlm(Config.from_dict(content["config"]))
    loop.restore(vlm, content["vlm"], path)
    return vlm


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--art", type=Path, required=True, help="what art.py wrote")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--scenes", type=int, default=320, help="scenes per style and split of --check")
    parser.add_argument("--json", type=Path)
    loop.add_arguments(parser, steps=3000, rate=1.5e-3)
    args = parser.parse_args()
    if args.check:
        torch.set_num_threads(args.threads)
        result = check(load_vlm(args.out), args.art, args.scenes)
        print(f"{'style/split':22} {'name of 3':>10} {'of 328':>8} {'caption':>8} {'grounding':>10} {'n':>6}   (held-out style: {HELD_OUT_STYLE})")
        for key, r in result.items():
            print(f"{key:22} {r['name_of_3']:10.1%} {r['name_of_328']:8.1%} {r['caption']:8.1%} {r['grounding']:10.1%} {r['n']:6}")
        if args.json:
            args.json.write_text(json.dumps(result, indent=1) + "\n")
        return
    loop.accelerator(args)
    c = Config()
    vlm = Vlm(c)
    scenes = Scenes(args.art, c, tables_from=int(STEM_SHARE * args.steps))
    module = Pretraining(vlm, len(scenes.captions.own)).to(memory_format=torch.channels_last)
    content = lambda: {"kind": "vlm", "config": c.to_dict(), "vlm": vlm.state_dict()}
    minutes = loop.run(args, args.out, "pretrain", module, [{"params": list(module.parameters())}], scenes, content)
    print(f"{args.out}: {args.steps} steps, {minutes:.1f} min")


if __name__ == "__main__":
    main()
