"""Emoji art and words for the prior: fetches what is missing, rasterises it once, trains the tokenizer.

Nothing here shows the robot's table: the prior may know every emoji, as a VLM does, but has never seen the robot.

    python art.py --cache DIR      # needs npm; writes DIR/art.npz, DIR/captions.json, DIR/tokenizer.json
"""

import argparse
import csv
import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

ASSETS = Path(__file__).resolve().parents[2] / "boards" / "sim" / "assets"
PACKAGES = {  # name of the downloaded file: npm package, member of an emoji by its hex code point
    "twemoji": ("@twemoji/svg@15.0.0", "package/{}.svg"),
    "fluent-3d": ("@lobehub/fluent-emoji-3d@1.1.0", "package/assets/{}.webp"),
    "fluent-flat": ("@lobehub/fluent-emoji-flat@1.1.0", "package/assets/{}.svg"),
    "cldr": ("cldr-annotations-full@48.2.0", "package/annotations/en/annotations.json"),
}
STYLES = ("noto", "fluent-3d", "fluent-flat", "twemoji")
# Never trained on: how well an emoji is known in a style nobody showed.
HELD_OUT_STYLE = "twemoji"
SIDE = 64
# Emojis beyond the benchmark's, so that the prior is not made for its vocabulary alone.
EXTRA = 300

# Sentences that a label is put into. The robot's own comes first and is drawn most often.
ROBOT_SENTENCE = "pick the block and place it on {}"
SENTENCES = (
    "pick the block and place it on the {}",
    "put the block on the {}",
    "place the cube on the {} card",
    "move the block to the {}",
    "where is the {}",
    "find the {}",
    "a picture of the {}",
    "a {}",
    "{}",
    "this is the {}",
    "point at the {}",
    "move the cube onto the {}",
    "set the block down on the {} card",
    "show me the {}",
)
# Asked of a picture with several emojis; the keyword may fit any one of them.
QUESTIONS = (
    "which one is a {}",
    "where is the {} card",
)


def table():
    """Rows of the benchmark's emoji table, in its order."""
    with open(ASSETS / "emoji.tsv", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def fetch(cache):
    """Downloads the packages that are not in the cache yet."""
    cache.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, (package, _) in PACKAGES.items():
        paths[name] = cache / f"{name}.tgz"
        if not paths[name].exists():
            out = subprocess.run(["npm", "pack", "--silent", package], cwd=cache, check=True, capture_output=True, text=True)
            (cache / out.stdout.strip().splitlines()[-1]).rename(paths[name])
    return paths


def extras(cache, rows, count):
    """Rows of further emojis: one code point, in the three npm styles, named by CLDR; the same ones every time."""
    paths = fetch(cache)
    codes = None
    for style in ("fluent-3d", "fluent-flat", "twemoji"):
        stem = PACKAGES[style][1].rsplit("/", 1)[0] + "/"
        with tarfile.open(paths[style]) as archive:
            names = {n.removeprefix(stem).rsplit(".", 1)[0].removesuffix("-fe0f") for n in archive.getnames() if n.startswith(stem)}
        names = {n for n in names if n.isalnum()}
        codes = names if codes is None else codes & names
    with tarfile.open(paths["cldr"]) as archive:
        annotations = json.load(archive.extractfile(PACKAGES["cldr"][1]))["annotations"]["annotations"]
    known = {row["char"].rstrip("\ufe0f") for row in rows}
    words = {row["label"].lower() for row in rows} | {row["name"].lower() for row in rows}
    found = []
    for code in sorted(codes, key=lambda c: hashlib.sha256(c.encode()).digest()):
        char = chr(int(code, 16))
        entry = annotations.get(char) or annotations.get(char + "\ufe0f")
        if char in known or not entry or entry["tts"][0].lower() in words or 0x1F1E6 <= ord(char) <= 0x1F1FF:
            continue
        name = entry["tts"][0].lower()
        found.append({"code": f"U+{code.upper()}", "char": char, "name": name, "label": name, "split": "extra"})
    return found[:count]


def rasterise(raw, member):
    if member.endswith(".svg"):
        import resvg_py

        raw = bytes(resvg_py.svg_to_bytes(svg_string=raw.decode("utf-8"), width=128, height=128))
    picture = Image.open(io.BytesIO(raw)).convert("RGBA")
    # Premultiplied, so that resampling does not bleed the colour of invisible pixels.
    return picture.convert("RGBa").resize((SIDE, SIDE), Image.Resampling.BOX if picture.width % SIDE == 0 else Image.Resampling.LANCZOS)


def read_art(cache, rows):
    """[styles, emojis, SIDE, SIDE, 4] premultiplied u8, and which of them exist."""
    art = np.zeros((len(STYLES), len(rows), SIDE, SIDE, 4), np.uint8)
    present = np.zeros((len(STYLES), len(rows)), bool)
    paths = fetch(cache)
    for s, style in enumerate(STYLES):
        archive = None if style == "noto" else tarfile.open(paths[style])
        names = set(archive.getnames()) if archive else set()
        for e, row in enumerate(rows):
            code = row["code"].removeprefix("U+").lower().lstrip("0")
            if archive is None:
                file = ASSETS / "noto" / f"{row['code']}.png"
                if not file.exists():
                    continue
                raw, member = file.read_bytes(), file.name
            else:
                pattern = PACKAGES[style][1]
                found = [m for c in (code, code + "-fe0f") if (m := pattern.format(c)) in names]
                if not found:
                    continue
                member = found[0]
                raw = archive.extractfile(member).read()
            art[s, e] = np.asarray(rasterise(raw, member))
            present[s, e] = True
    return art, present


def read_captions(cache, rows):
    """Per emoji: [label, name, keyword, ...], lower case, keywords only where at most three emojis of the table share them."""
    with tarfile.open(fetch(cache)["cldr"]) as archive:
        annotations = json.load(archive.extractfile(PACKAGES["cldr"][1]))["annotations"]["annotations"]
    names, keywords, users = [], [], {}
    for row in rows:
        entry = annotations.get(row["char"]) or annotations.get(row["char"] + "\ufe0f") or annotations.get(row["char"].rstrip("\ufe0f")) or {}
        names.append(entry.get("tts", [row["name"]])[0].lower())
        words = [w.lower() for w in entry.get("default", []) if w.replace(" ", "").isalpha()]
        keywords.append(words)
        for word in set(words):
            users[word] = users.get(word, 0) + 1
    labels = {row["label"].lower() for row in rows}
    captions = []
    for row, name, words in zip(rows, names, keywords):
        label = row["label"].lower()
        own = [label, name] + [w for w in words if users[w] <= 3 and (w == label or w not in labels)]
        captions.append(list(dict.fromkeys(own)))
    return captions


def train_tokenizer(captions, path, vocab, max_tokens):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=vocab, special_tokens=["[PAD]", "[UNK]"], show_progress=False)
    lines = []
    for own in captions:
        for caption in own[:2] * 4 + own:
            lines += [caption, ROBOT_SENTENCE.format(caption)]
    lines += [s.format(c[0]) for s in SENTENCES + QUESTIONS for c in captions]
    # Every letter alone, so that no lower-case word is ever unknown.
    lines += list("abcdefghijklmnopqrstuvwxyz0123456789-'.,")
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.save(str(path), pretty=False)
    longest = max(len(tokenizer.encode(ROBOT_SENTENCE.format(c[0])).ids) for c in captions)
    print(f"tokenizer: {tokenizer.get_vocab_size()} tokens, longest instruction {longest} of {max_tokens}")
    return tokenizer


class Words:
    """Captions to padded token ids, with a cache."""

    def __init__(self, path, max_tokens):
        from tokenizers import Tokenizer

        self.tokenizer, self.max_tokens, self.seen = Tokenizer.from_file(str(path)), max_tokens, {}

    def __call__(self, texts):
        out = np.zeros((len(texts), self.max_tokens), np.int64)
        for i, text in enumerate(texts):
            if text not in self.seen:
                self.seen[text] = self.tokenizer.encode(text).ids[: self.max_tokens]
            ids = self.seen[text]
            out[i, : len(ids)] = ids
        return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--vocab", type=int, default=2048)
    parser.add_argument("--max-tokens", type=int, default=16)
    args = parser.parse_args()
    rows = table()
    rows += extras(args.cache, rows, EXTRA)
    captions = read_captions(args.cache, rows)
    (args.cache / "captions.json").write_text(json.dumps(captions, ensure_ascii=False, indent=0))
    train_tokenizer(captions, args.cache / "tokenizer.json", args.vocab, args.max_tokens)
    art, present = read_art(args.cache, rows)
    np.savez_compressed(args.cache / "art.npz", art=art, present=present)
    print({style: int(n) for style, n in zip(STYLES, present.sum(1))}, f"{sum(map(len, captions)) / len(captions):.1f} captions an emoji")


if __name__ == "__main__":
    main()
