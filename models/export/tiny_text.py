"""A tokenizer of at most 512 tokens, trained on a few sentences, in the folder layout of transformers."""

VOCABULARY = 512
SENTENCES = (
    "put the red cube into the box",
    "put the blue cube into the box",
    "pick up the green ball and place it on the plate",
    "open the drawer, then close the drawer",
    "Task: stack the cups, State: 12 34 56 78 90 127 128 255;\nAction: ",
)


def write(folder, begins):
    """Writes tokenizer.json and tokenizer_config.json. `begins`: whether a text begins with <bos>, as PaliGemma's does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<eos>", "<bos>", "<fake_token_around_image>", "<global-img>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    if begins:
        tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", special.index("<bos>"))])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>").save_pretrained(folder)
