#!/usr/bin/env python3
"""Compares libpuna's tokenizers with the reference packages on random texts.

usage: token_compare.py DRIVER KIND VOCAB [--count N] [--seed S] [--special] [--show N] [--peer PROGRAM]
                        [--pattern REGEX] [--added TEXT...]

DRIVER is token_driver.c linked with libpuna. KIND is hf (package tokenizers, VOCAB a
tokenizer.json), spm (package sentencepiece), tiktoken (a file of ranks; --pattern is how its words
are cut), rwkv (package rwkv) or gguf (PROGRAM is token_peer.c). The added tokens of a tokenizer.json
and those named by --added are among the words. Texts mix
scripts, whitespace, digits, emoji, contractions, combining marks and control characters; only
code points of ranges that have not changed since Unicode 12 are used, because packages differ in their Unicode version.
Prints how many texts gave other ids and exits 1 when any did.
"""
import argparse
import json
import random
import struct
import subprocess
import sys
import unicodedata

CHUNK = 20000  # texts at a time
WORDS = ("the of and Hello world it's I'm we'll DON'T you've they're he'd can't O'Neil L'été 'tis "
         "function return int main() { } std::vector<int> x = y; // note: https://example.org/a?b=c&d "
         "naïve café Ångström straße İstanbul ﬁne ﬂow ½ ² № ㍿ ｆｕｌｌ Ｗｉｄｔｈ "
         "привет мир здравствуй Ελλάδα κόσμε שלום עולם مرحبا العالم नमस्ते दुनिया สวัสดี ชาวโลก "
         "你好 世界 こんにちは カタカナ ｶﾀｶﾅ 안녕하세요 세계 한국어 テスト、 。「」 １２３ ٣٤٥ ४५६ "
         "12 345 6789 0 3.14159 1,000,000 2024-01-02 0x1F 1e-9 x2 2x $5.00 100% "
         "😀 👍🏽 👨‍👩‍👧‍👦 🇩🇪 🏳️‍🌈 ☃ ✈️ é ñ ö ẹ́ Z͑ͫ̓ͪ̂ͫ a̐ ſ 's 'S ſs ’s ''s "
         "_under_score CamelCaseWord ALLCAPS mixedCASE iPhone ... --- === !!! ?! #tag @user <b> </b> "
         "▁ ▁▁ ▁a Ġ Ċ <0x0A> <s> </s> <unk> [INST] <|im_end|> <pad>").split(" ")
SPACES = [" ", " ", " ", " ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", " \n", "\n ", "        ", "\u00a0", "\u3000",
          "\u2003", "\u200b", "\u2028", "\u0085", "\x0b", "", ""]
RANGES = [(0x20, 0x7e)] * 6 + [(0, 0x1f), (0x80, 0xff), (0x100, 0x24f), (0x300, 0x36f), (0x370, 0x3ff),
          (0x400, 0x52f), (0x590, 0x5ff), (0x61e, 0x6ff), (0x900, 0x97f), (0xe00, 0xeff), (0x10a0, 0x11ff), (0x1ab0, 0x1abe),
          (0x1e00, 0x1fff), (0x2000, 0x206f), (0x2070, 0x218f), (0x2190, 0x27bf), (0x2c00, 0x2dff),
          (0x2e80, 0x30ff), (0x3100, 0x33ff), (0x4e00, 0x4fff), (0x9f00, 0x9fff), (0xa640, 0xa7b9),
          (0xac00, 0xad00), (0xd7b0, 0xd7ff), (0xf900, 0xfaff), (0xfb00, 0xfdff), (0xfe00, 0xffef),
          (0x10400, 0x1044f), (0x1d400, 0x1d7ff), (0x1f300, 0x1f6ff), (0x1f900, 0x1f9ff), (0x20000, 0x20100)]


def known(code):
    return not 0xd800 <= code <= 0xdfff and unicodedata.category(chr(code)) != "Cn"


def random_text(rng, nul, added):
    out = []
    for _ in range(rng.choice((1, 2, 3, 5, 8, 13, 30))):
        kind = rng.random()
        if kind < 0.05 and added:
            out.append(rng.choice(added))
        elif kind < 0.55:
            out.append(rng.choice(WORDS))
        elif kind < 0.75:
            low, high = rng.choice(RANGES)
            codes = [rng.randint(low, high) for _ in range(rng.choice((1, 1, 2, 3, 6)))]
            out.append("".join(chr(c) for c in codes if known(c) and (c or nul)))
        elif kind < 0.85:
            out.append("".join(rng.choice("0123456789") for _ in range(rng.randint(1, 12))))
        elif kind < 0.92:
            out.append(rng.choice("aA.!- '\n\t_é中") * rng.randint(1, 20))
        else:
            out.append("".join(rng.choice("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'") for _ in range(rng.randint(1, 15))))
        out.append(rng.choice(SPACES))
    return "".join(out)


def reference(args):
    if args.kind == "hf":
        import tokenizers
        tokenizer = tokenizers.Tokenizer.from_file(args.vocab)
        return lambda texts: [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    if args.kind == "spm":
        import sentencepiece
        model = sentencepiece.SentencePieceProcessor(model_file=args.vocab)
        return lambda texts: [model.encode(t) for t in texts]
    if args.kind == "tiktoken":
        import tiktoken
        from tiktoken.load import load_tiktoken_bpe
        encoding = tiktoken.Encoding("ranks", pat_str=args.pattern, special_tokens={},
                                     mergeable_ranks=load_tiktoken_bpe(args.vocab))
        return lambda texts: [encoding.encode_ordinary(t) for t in texts]
    if args.kind == "rwkv":
        from rwkv.rwkv_tokenizer import TRIE_TOKENIZER
        trie = TRIE_TOKENIZER(args.vocab)
        return lambda texts: [trie.encode(t) for t in texts]
    return lambda texts: [ids for ids, _ in ours(args.peer, args.vocab, texts, 2 if args.special else 0)]


def added_tokens(args):
    added = list(args.added)
    if args.kind == "hf":
        with open(args.vocab, encoding="utf-8") as file:
            added += [token["content"] for token in json.load(file).get("added_tokens", [])]
    return added


def ours(driver, vocab, texts, flags):
    packed = b"".join(struct.pack("<I", len(b)) + b for b in (t.encode() for t in texts))
    done = subprocess.run([driver, vocab, str(flags)], input=packed, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{driver}: {done.stderr.decode()}")
    at = 0
    for _ in texts:
        (n,) = struct.unpack_from("<I", done.stdout, at)
        ids = list(struct.unpack_from(f"<{n}i", done.stdout, at + 4))
        at += 4 + 4 * n
        (n,) = struct.unpack_from("<I", done.stdout, at)
        yield ids, done.stdout[at + 4:at + 4 + n]
        at += 4 + n


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("driver")
    parser.add_argument("kind", choices=("hf", "spm", "tiktoken", "rwkv", "gguf"))
    parser.add_argument("vocab")
    parser.add_argument("--count", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--special", action="store_true")
    parser.add_argument("--show", type=int, default=5)
    parser.add_argument("--peer")
    parser.add_argument("--pattern")
    parser.add_argument("--added", nargs="*", default=[])
    args = parser.parse_args()
    rng = random.Random(args.seed)
    added, encode = added_tokens(args), reference(args)
    flags = 2 if args.special or args.kind == "hf" else 0
    wrong = lossy = 0
    for at in range(0, args.count, CHUNK):
        texts = [random_text(rng, args.kind != "gguf", added) for _ in range(min(CHUNK, args.count - at))]
        for text, want, (got, bytes_) in zip(texts, encode(texts), ours(args.driver, args.vocab, texts, flags)):
            lossy += bytes_ != text.encode()
            if got != want:
                wrong += 1
                if wrong <= args.show:
                    first = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
                    print(f"{text!r}\n  at {first}: got {got[first:first + 8]}, expected {want[first:first + 8]}")
    print(f"{args.vocab}: {args.count} texts, {wrong} with other ids, {lossy} not decoded to themselves")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
