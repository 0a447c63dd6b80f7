#!/usr/bin/env python3
"""How far the encodings of the key/value cache move a model's answers: the mean, median and 99th
percentile of KL(f16 cache || other cache) over the positions of a text.
usage: kv_quality.py MODEL.gguf TEXT [--puna build/puna] [--types q8_0,q4_0]
Weights are first written as float32 (gguf package) into a temporary file, because with int8
activations any change, a single bit of a cache, moves rounding everywhere: for SmolLM2 that alone is
a KL of 4e-3, above what is to be measured."""
import argparse
import os
import struct
import subprocess
import tempfile

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize


def write_f32(path, out):
    reader = GGUFReader(path)
    with open(path, "rb") as file:
        out.write(file.read(min(t.field.offset for t in reader.tensors)))
    offset = 0
    for t in reader.tensors:
        name, shape = t.name.encode(), [int(n) for n in t.shape]
        out.write(struct.pack("<Q", len(name)) + name + struct.pack("<I", len(shape)))
        out.write(struct.pack(f"<{len(shape)}QIQ", *shape, 0, offset))
        offset += (int(np.prod(shape)) * 4 + 31) // 32 * 32
    out.write(b"\0" * (-out.tell() % 32))
    for t in reader.tensors:
        out.write(dequantize(t.data, t.tensor_type).astype("<f4").tobytes())
        out.write(b"\0" * (-out.tell() % 32))
    out.flush()


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    p.add_argument("text")
    p.add_argument("--puna", default="build/puna")
    p.add_argument("--types", default="f32,bf16,q8_0,q4_0")
    a = p.parse_args()
    with tempfile.NamedTemporaryFile(suffix=".gguf") as plain:
        write_f32(a.model, plain)
        n_vocab = 0
        for t in GGUFReader(a.model).tensors:
            if t.name == "token_embd.weight":
                n_vocab = int(t.shape[1])

        def logits(kv):
            out = subprocess.run([a.puna, "logits", "-q", "-m", plain.name, "-f", a.text, "--raw", "--all", "--kv-type", kv],
                                 stdout=subprocess.PIPE, check=True).stdout
            return np.frombuffer(out, np.float32).reshape(-1, n_vocab)

        base = logits("f16")
        print(f"{os.path.basename(a.model)}, {len(base)} tokens, against f16:")
        for kv in a.types.split(","):
            other, kl = logits(kv), []
            for i in range(0, len(base), 32):
                x, y = log_softmax(base[i:i + 32]), log_softmax(other[i:i + 32])
                kl.append((np.exp(x) * (x - y)).sum(1))
            kl = np.concatenate(kl)
            print(f"  {kv:5} mean {kl.mean():.2e}  median {np.median(kl):.2e}  p99 {np.quantile(kl, 0.99):.2e}", flush=True)


main()
