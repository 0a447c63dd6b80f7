#!/usr/bin/env python3
"""Writes tests/data/token: tiny vocabularies of every family, trained here, and the ids that the
packages tokenizers and sentencepiece give for some texts; and such ids for the vocabularies of
shared/data that are not committed.

usage: token_golden.py SHARED_DATA OUT_FOLDER

A golden file has one line per text: the UTF-8 bytes in hex, a tab, the ids. Special tokens in
the text are read as such for tokenizer.json (that package always does), never for SentencePiece.
"""
import io
import os
import random
import sys

import sentencepiece
import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

from token_compare import WORDS, random_text

SHARED, OUT = sys.argv[1:]
RNG = random.Random(20)
TEXTS = ["", " ", "  ", "\n", " \n x", "a", " a ", "Hello world", "Hello, y'all! How are you 😁 ?", "it's IT'S 12345 ½²",
         "\t\tint main(void)\n{\n    return 0;\n}\n", "naïve  café", "日本語 한국어 हिन्दी", "<s> Hello</s>x<unk>", "don't  stop\u00a0me"]
TEXTS += [random_text(RNG, True, [])[:60] for _ in range(65)]
CORPUS = [" ".join(RNG.choice(WORDS) for _ in range(12)) for _ in range(400)]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def golden(name, encode):
    with open(os.path.join(OUT, name + ".golden"), "w", encoding="ascii") as out:
        for text in TEXTS:
            out.write(text.encode().hex() + "\t" + " ".join(map(str, encode(text))) + "\n")


def golden_json(name, path):
    tokenizer = tokenizers.Tokenizer.from_file(path)
    golden(name, lambda text: tokenizer.encode(text, add_special_tokens=False).ids)


def save(name, tokenizer):
    path = os.path.join(OUT, name + ".json")
    tokenizer.save(path, pretty=False)
    golden_json(name, path)


def split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def byte_level(name, pre, normalizer=None):
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<s>", "</s>"], initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    save(name, tokenizer)


def llama_like():
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.train_from_iterator((w for line in CORPUS for w in line.split(" ")), trainers.BpeTrainer(
        vocab_size=480, special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)],
        limit_alphabet=80, show_progress=False))
    # Bytes are ordinary entries, as in real files, not added tokens.
    import json
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = data["added_tokens"][:3]
    path = os.path.join(OUT, "tiny-llama.json")
    with open(path, "w", encoding="utf-8") as out:
        json.dump(data, out, ensure_ascii=False, separators=(",", ":"))
    golden_json("tiny-llama", path)


def wordpiece():
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(
        vocab_size=500, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    save("tiny-bert", tokenizer)


def unigram():
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(CORPUS, trainers.UnigramTrainer(
        vocab_size=300, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
    save("tiny-unigram", tokenizer)


def sentence_piece(name, kind, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(CORPUS), model_writer=model, vocab_size=500,
                                             model_type=kind, num_threads=1, minloglevel=2, character_coverage=0.98,
                                             hard_vocab_limit=False, **options)
    path = os.path.join(OUT, name + ".model")
    with open(path, "wb") as out:
        out.write(model.getvalue())
    golden_model(name, path)


def golden_model(name, path):
    model = sentencepiece.SentencePieceProcessor(model_file=path)
    golden(name, model.encode)


def main():
    byte_level("tiny-gpt2", pre_tokenizers.ByteLevel(add_prefix_space=False))
    byte_level("tiny-llama3", split(LLAMA3))
    byte_level("tiny-gpt4o", split(GPT4O), normalizers.NFC())
    llama_like()
    wordpiece()
    unigram()
    sentence_piece("tiny-spm", "bpe", byte_fallback=True, normalization_rule_name="identity",
                   remove_extra_whitespaces=False, split_digits=True, user_defined_symbols=["<sep>", "▁▁"])
    sentence_piece("tiny-ugm", "unigram", normalization_rule_name="identity", user_defined_symbols=["<sep>"])
    golden_json("t5-json", os.path.join(SHARED, "tokenizers/t5-small/tokenizer.json"))
    golden_model("t5-spiece", os.path.join(SHARED, "tokenizers/t5-small/spiece.model"))
    golden_model("mistral-v1", os.path.join(SHARED, "tokenizers/mistral/tokenizer.model.v1"))
    golden_model("mistral-v3", os.path.join(SHARED, "tokenizers/mistral/mistral_instruct_tokenizer_240323.model.v3"))
    golden_model("tok512", os.path.join(SHARED, "models/stories260K/tok512.model"))


if __name__ == "__main__":
    main()
