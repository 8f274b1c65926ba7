"""FAST, the tokenizer of pi0-FAST's actions: coefficients of a DCT as characters of a text, which a BPE over bytes makes into tokens."""

import json
import random
import types
from dataclasses import dataclass
from pathlib import Path

from .refusal import Refusal

# Random sequences on which the table is compared with the tokenizer.
SEQUENCES, LONGEST = 200, 40


@dataclass
class Actions:
    """`table`: the bytes of each token. `processor`: what LeRobot's code needs of the tokenizer: bpe_tokenizer, min_token, scale."""

    table: list
    processor: types.SimpleNamespace


def read(folder):
    """Reads the tokenizer of a folder, without running the code that lies in it."""
    if folder is None:
        raise Refusal("--action-tokenizer is missing: the checkpoint does not hold the tokenizer of its actions; give its folder (tokenizer.json, processor_config.json)")
    folder = Path(folder)
    for name in ("tokenizer.json", "processor_config.json"):
        if not (folder / name).is_file():
            raise Refusal(f"{folder / name}: is missing; --action-tokenizer takes the folder of FAST's tokenizer")
    from transformers import PreTrainedTokenizerFast

    try:
        config = json.loads((folder / "processor_config.json").read_text())
        bpe = PreTrainedTokenizerFast.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:
        raise Refusal(f"{folder}: is no tokenizer of actions: {str(error).splitlines()[0]}") from error
    scale, least = config.get("scale"), config.get("min_token")
    if not isinstance(scale, (int, float)) or scale <= 0 or not isinstance(least, int):
        raise Refusal(f"{folder}/processor_config.json: scale is {scale} and min_token {least}, so what a token stands for is unknown")
    table = [list(token_bytes(token)) for token in bpe.convert_ids_to_tokens(range(len(bpe)))]
    compare(table, bpe, folder)
    return Actions(table, types.SimpleNamespace(bpe_tokenizer=bpe, min_token=least, scale=scale))


def token_bytes(token):
    """The bytes that a token of a BPE over bytes stands for."""
    alphabet = {character: byte for byte, character in byte_characters().items()}
    if all(character in alphabet for character in token):
        return bytes(alphabet[character] for character in token)
    return token.encode()


def byte_characters():
    """The character by which a BPE over bytes writes each byte: itself where it can be printed, else one from 256 on."""
    printed = [*range(ord("!"), ord("~") + 1), *range(ord("\u00a1"), ord("\u00ac") + 1), *range(ord("\u00ae"), ord("\u00ff") + 1)]
    others = [byte for byte in range(256) if byte not in printed]
    return {byte: chr(byte) for byte in printed} | {byte: chr(256 + index) for index, byte in enumerate(others)}


def compare(table, bpe, folder):
    """The table gives the text that the tokenizer gives."""
    chance = random.Random(1)
    sequences = [[token] for token in range(len(table))]
    sequences += [[chance.randrange(len(table)) for _ in range(chance.randint(1, LONGEST))] for _ in range(SEQUENCES)]
    for sequence in sequences:
        mine = bytes(byte for token in sequence for byte in table[token]).decode(errors="replace")
        theirs = bpe.decode(sequence)
        if mine != theirs:
            raise Refusal(f"{folder}/tokenizer.json: the tokens {sequence} are {theirs!r}, byte by byte {mine!r}: it is no plain BPE over bytes")
