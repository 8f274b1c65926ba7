"""The tokenizer of a policy: read from a local folder, packed as tokenizer.json, compared with transformers."""

import json
from dataclasses import dataclass
from pathlib import Path

from .refusal import Refusal

PROMPTS = ("", "put the red cube into the box\n", "Task: pick_up  the  Cube!, State: 12 255 -1 0;\nAction: ", "a" * 40 + " Würfel 方块 🙂\n")


@dataclass
class Tokens:
    """A tokenizer: its JSON, the padding's id, the folder that it was read from."""

    content: str
    pad_id: int
    folder: Path
    fast: object


def read(folder, option, what):
    """Reads the tokenizer of a folder."""
    if folder is None:
        raise Refusal(f"{option} is missing: the checkpoint does not hold its tokenizer; give the folder of {what} (tokenizer.json, tokenizer_config.json)")
    if not (folder / "tokenizer.json").is_file():
        raise Refusal(f"{folder}/tokenizer.json: is missing; {option} takes the folder of {what}")
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    try:
        fast = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:
        raise Refusal(f"{folder}: transformers cannot read the tokenizer: {str(error).splitlines()[0]}") from error
    if not fast.is_fast:
        raise Refusal(f"{folder}: transformers reads a slow tokenizer; tokenizer.json is needed")
    if fast.pad_token_id is None:
        raise Refusal(f"{folder}/tokenizer_config.json: has no pad_token, so the padding is unknown")
    packed = Tokenizer.from_str(fast.backend_tokenizer.to_str())
    packed.no_padding()
    packed.no_truncation()
    for prompt in PROMPTS:
        mine, theirs = packed.encode(prompt).ids, fast(prompt).input_ids
        if mine != theirs:
            raise Refusal(f"{folder}: tokenizer.json and transformers differ: {prompt!r} is {mine} and {theirs}")
    return Tokens(json.dumps(json.loads(packed.to_str()), ensure_ascii=False, separators=(",", ":")), fast.pad_token_id, folder, fast)


def check_vocabulary(tokens, count):
    """The policy knows every token of its tokenizer."""
    if len(tokens.fast) > count:
        raise Refusal(f"{tokens.folder}: the tokenizer has {len(tokens.fast)} tokens, the policy knows {count}: it is another policy's")


def part(checkpoint, tokens, template, clean, longest, **more):
    """The text in policy.json."""
    step = checkpoint.tokens or {}
    if step.get("padding_side", "right") != "right":
        raise Refusal(f"{checkpoint.folder}/policy_preprocessor.json: tokens are padded on the {step['padding_side']}, this exporter knows the right side")
    return {
        "name": "tokens",
        "tokenizer": "tokenizer.json",
        "template": template,
        **more,
        "clean": clean,
        "special_tokens": True,
        "max_tokens": step.get("max_length", longest),
        "padding": "right",
        "pad_id": tokens.pad_id,
        "element": "i64",
        "mask": {"name": "mask", "element": "bool"},
    }
