"""A tokenizer of actions like FAST's, trained on a few seeded chunks, in the folder layout of its processor; and weights that speak it."""

import json

SCALE, LEAST, TOKENS = 10, -100, 300
CHUNKS, STEPS, JOINTS = 40, 8, 6


def write(folder, seed=5):
    """Writes tokenizer.json, tokenizer_config.json and processor_config.json."""
    import numpy as np
    from tokenizers import ByteLevelBPETokenizer, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    chance = np.random.default_rng(seed)
    # Low frequencies are large, as in smooth motions; characters from 128 on are two bytes.
    sizes = 40.0 / (1 + np.arange(STEPS))[:, None] ** 2
    texts = []
    for _ in range(CHUNKS):
        numbers = np.rint(chance.normal(size=(STEPS, JOINTS)) * sizes).astype(int)
        texts.append("".join(chr(max(number - LEAST, 0)) for number in numbers.flatten()))
    bpe = ByteLevelBPETokenizer()
    trainer = trainers.BpeTrainer(vocab_size=TOKENS, special_tokens=[], initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    bpe._tokenizer.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(tokenizer_object=bpe, clean_up_tokenization_spaces=False).save_pretrained(folder)
    config = {"processor_class": "UniversalActionProcessor", "scale": SCALE, "min_token": LEAST, "vocab_size": TOKENS, "action_dim": None, "time_horizon": None}
    (folder / "processor_config.json").write_text(json.dumps(config))


def sequence(text, actions, skip, count):
    """What the tiny policy says: Action: , `count` tokens of actions, |. No token comes twice, so that each says what follows it."""
    said = text.encode("Action: ", add_special_tokens=False)
    end = text.convert_tokens_to_ids("|")
    first = text.vocab_size - 1 - skip
    taken = {text.bos_token_id, end, *said}
    # The longest tokens, and two that make one character together only.
    lengths = sorted(range(len(actions.table)), key=lambda token: (-len(actions.table[token]), token))
    halves = [actions.table.index([0xC2]), actions.table.index([0x80])]
    chosen = [first - token for token in [*lengths[: count - 2], *halves]]
    if taken & set(chosen) or min(chosen) < 0:
        raise ValueError("tokens of text and actions are the same")
    return [text.bos_token_id, *said, *chosen, end]


def teach(weights, said, layers):
    """Changes random weights so that each token of `said` is followed by the next: the last layer adds it to what passes by, the rest
    adds little. `layers`: the names of the layers begin so."""
    import torch

    embedding = weights["embedding"]
    width = embedding.shape[1]
    if len(said) > width:
        raise ValueError(f"{len(said)} tokens, {width} directions")
    directions, _ = torch.linalg.qr(torch.randn(width, width))
    embedding.mul_(0.2)
    for name, weight in weights.items():
        if name.startswith(layers) and name.endswith(("o_proj", "down_proj")):
            weight.mul_(0.2)
    gate, up, down = (weights[f"{layers}1.mlp.{part}_proj"] for part in ("gate", "up", "down"))
    for part in (gate, up, down):
        part.mul_(0.1)
    for place, token in enumerate(said):
        embedding[token] = directions[place]
    for place, following in enumerate(said[1:]):
        gate[place], up[place] = directions[place], directions[place]
        down[:, place] = 2.0 * embedding[following]
