#!/usr/bin/env python3
"""Writes more of tests/data/token: tiny GGUF vocabularies of kinds that only llama.cpp reads, with the ids it gives for
some texts, and tiny tokenizer.json files with rarer parts, with the ids that the package tokenizers gives.

usage: token_golden_kinds.py OUT_FOLDER PEER

OUT_FOLDER holds what token_golden.py wrote. PEER is token_peer.c. The form of a golden file is that of token_golden.py.
"""
import json
import os
import random
import sys

import gguf
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from token_compare import WORDS, ours, random_text

OUT, PEER = sys.argv[1:]
RNG = random.Random(21)
TEXTS = ["", " ", "  ", "\n", "\n\n\n a", " \n x", "a", " a ", "Hello world", "\ufeffHello", "it's IT'S 12345 ½²", " " * 700, " " * 37 + "x",
         "\t\t\n  IMGIMGABZ <sentinel:12> IMGIMGABCDEIZ", "naïve  café", "日本語 한국어 हिन्दी", "don't  stop\u00a0me", "1234567 12345a １２３"]
# llama.cpp makes one code point of the small \u0130 where everybody else makes two.
TEXTS += [random_text(RNG, False, [])[:60].replace("\u0130", "I") for _ in range(80 - len(TEXTS))]
CORPUS = [" ".join(RNG.choice(WORDS) for _ in range(12)) for _ in range(400)]


def golden(name, all_ids):
    with open(os.path.join(OUT, name + ".golden"), "w", encoding="ascii") as out:
        for text, ids in zip(TEXTS, all_ids):
            out.write(text.encode().hex() + "\t" + " ".join(map(str, ids)) + "\n")


def golden_gguf(name, model, pre, tokens, merges=None, types=None, scores=None, **more):
    path = os.path.join(OUT, name + ".gguf")
    writer = gguf.GGUFWriter(path, "llama")
    for add, value in ((writer.add_context_length, 8), (writer.add_embedding_length, 8), (writer.add_block_count, 1),
                       (writer.add_feed_forward_length, 8), (writer.add_head_count, 1), (writer.add_layer_norm_rms_eps, 1e-5)):
        add(value)
    writer.add_tokenizer_model(model)
    if pre:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    if merges is not None:
        writer.add_token_merges(merges)
    writer.add_token_types(types or [1] * len(tokens))
    if scores:
        writer.add_token_scores(scores)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    for key, value in more.items():
        writer.add_bool("tokenizer.ggml." + key.replace("__", "."), value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    # Over a trie of all entries llama.cpp finds special tokens in plain text too.
    golden(name, (ids for ids, _ in ours(PEER, path, TEXTS, 0 if merges else 2)))


def from_json(name):
    with open(os.path.join(OUT, name), encoding="utf-8") as file:
        model = json.load(file)["model"]
    entries = sorted(model["vocab"], key=model["vocab"].get)
    return entries, [" ".join(m) if isinstance(m, list) else m for m in model["merges"]]


def ggufs():
    tokens, merges = from_json("tiny-gpt2.json")
    for pre in ("jais-2", "chameleon"):
        golden_gguf("tiny-" + pre, "gpt2", pre, tokens, merges)
    tokens, merges = from_json("tiny-llama.json")
    types = [6 if t.startswith("<0x") else 1 for t in tokens]
    golden_gguf("tiny-mmbert", "gpt2", "mmbert", tokens, merges, types)
    words = sorted({w for w in WORDS if "<" not in w})
    trained = tokenizers.Tokenizer(models.BPE())
    trained.train_from_iterator([w.lower() for w in words], trainers.BpeTrainer(vocab_size=300, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    golden_gguf("tiny-whitespace", "whitespace", "whitespace", sorted(model["vocab"], key=model["vocab"].get),
                [" ".join(m) for m in model["merges"]], normalizer__lowercase=True)
    entries = [bytes([i]) for i in range(256)]
    entries += sorted({(" " * (i % 2) + w[:n]).encode() for i, w in enumerate(words) for n in (2, 3, 5, 9)} - set(entries))
    golden_gguf("tiny-rwkv", "rwkv", None, [b"<s>"] + [repr(e)[2:-1].encode() for e in entries], types=[3] + [1] * len(entries))
    pieces = ["<unk>", "<bos>", "<eos>", "<pad>"] + [f"<0x{i:02X}>" for i in range(256)]
    types = [2, 3, 3, 3] + [6] * 256
    more = sorted({" " * (i % 2) + w[:n] for i, w in enumerate(words) for n in (1, 2, 3, 5, 9)} - {""})
    golden_gguf("tiny-plamo2", "plamo2", None, pieces + more, types=types + [1] * len(more),
                scores=[0.0] * 260 + [-round(RNG.uniform(2, 9), 1) for _ in more])


def golden_json(name, base, **parts):
    with open(os.path.join(OUT, base), encoding="utf-8") as file:
        data = json.load(file)
    data.update(parts)
    path = os.path.join(OUT, name + ".json")
    with open(path, "w", encoding="utf-8") as out:
        json.dump(data, out, ensure_ascii=False, separators=(",", ":"))
    tokenizer = tokenizers.Tokenizer.from_file(path)
    golden(name, (tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS))


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def jsons():
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    golden_json("tiny-falcon", "tiny-gpt2.json", pre_tokenizer={"type": "Sequence", "pretokenizers": [
        {"type": "Punctuation", "behavior": "Contiguous"}, bytes_, {"type": "Digits", "individual_digits": False},
        split("[0-9][0-9][0-9]")]})
    golden_json("tiny-regex", "tiny-gpt2.json", normalizer={"type": "Sequence", "normalizers": [
        {"type": "Nmt"}, {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}]},
        {"type": "Replace", "pattern": {"Regex": "(?<=o)\\w(?=\\b)|(?>[Tt]h)e"}, "content": "<>"}]},
                pre_tokenizer={"type": "Sequence", "pretokenizers": [
                    split(r"(?=(?:\d{3})+(?!\d))"), split(r"\s{2,3}?|[[a-z]&&[^aeiou]]{2,}", "Removed", True),
                    split("x|\\b(?i:hello)\\b", "Contiguous"), {**bytes_, "use_regex": False}]})
    words = {w: i for i, w in enumerate(sorted({"<unk>", "the", "of", "Hello", "world", "a", "x", "1", "."}))}
    golden_json("tiny-words", "tiny-bert.json", normalizer=None, added_tokens=[], post_processor=None, decoder=None,
                pre_tokenizer={"type": "Whitespace"}, model={"type": "WordLevel", "vocab": words, "unk_token": "<unk>"})
    with open(os.path.join(OUT, "tiny-bert.json"), encoding="utf-8") as file:
        known = json.load(file)["model"]["vocab"]
    texts = ["Hello", "IT'S", "12", "stop", "ï", "LL", "a", "café", "naïve", "don", "ａ", "日本", "한", "me", "x", "n", "1", "½",
             "ld", "o", "HELLO", "É", "it", "世界", "'S", "wor", "3", "45"]
    new = [t for t in texts if t not in known]
    golden_json("tiny-added", "tiny-bert.json", added_tokens=[
        {"id": known.get(c, len(known) + new.index(c) if c in new else 0), "content": c, "single_word": bool(i & 1),
         "lstrip": bool(i & 2), "rstrip": bool(i & 4), "normalized": bool(i & 8), "special": bool(i & 16) and c not in known}
        for i, c in enumerate(texts)])


if __name__ == "__main__":
    ggufs()
    jsons()
