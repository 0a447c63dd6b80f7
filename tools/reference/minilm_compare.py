#!/usr/bin/env python3
"""`puna embed` beside all-MiniLM-L6-v2's own weights: the cosine of both for a hundred texts.

usage: minilm_compare.py FOLDER MODEL.gguf [--puna PROGRAM] [--onnx FILE.onnx]

FOLDER and MODEL are what minilm_to_gguf.py reads and writes. Tokens come from the folder's tokenizer.json (pip install
tokenizers); vectors from its weights through the definition of BERT in numpy, or with --onnx from an export of the
model through onnxruntime. Fails below a cosine of 0.9999 or where a tokens' list differs."""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile

import numpy as np
import tokenizers

from_file = lambda path: json.load(open(path))
SUBJECTS = ["The cat", "A very old man", "Nobody", "My neighbour's daughter", "The European Central Bank", "An electron",
            "El niño", "Łódź", "東京タワー", "The café's naïve owner"]
VERBS = ["sat on the mat.", "doesn't know why the sky is blue!", "paid $1,234.56 for 3 tickets (non-refundable)?",
         "was re-elected in 1998; turnout: 62%", "can be described by the Schrödinger equation", "said: \"Ça va?\"",
         "owns https://example.org/a_b?c=d#e", "loves 🍣 and 寿司", "quantised antidisestablishmentarianism\tmodels", ""]


def texts():
    return [f"{s} {v}" for s in SUBJECTS for v in VERBS]


def weights(folder):
    data = open(os.path.join(folder, "model.safetensors"), "rb").read()
    n = int.from_bytes(data[:8], "little")
    head, data = json.loads(data[8:8 + n]), data[8 + n:]
    return {name: np.frombuffer(data[t["data_offsets"][0]:t["data_offsets"][1]], np.float32).reshape(t["shape"]).astype(np.float64)
            for name, t in head.items() if name != "__metadata__" and t["dtype"] == "F32"}


def norm(x, w, name, eps):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w[name + ".weight"] + w[name + ".bias"]


def linear(x, w, name):
    return x @ w[name + ".weight"].T + w[name + ".bias"]


erf = np.vectorize(math.erf)


def vector(w, config, ids):
    """The mean of the last layer's rows."""
    eps, n_head, e = config["layer_norm_eps"], config["num_attention_heads"], "embeddings."
    x = w[e + "word_embeddings.weight"][ids] + w[e + "token_type_embeddings.weight"][0] + w[e + "position_embeddings.weight"][:len(ids)]
    x = norm(x, w, e + "LayerNorm", eps)
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        q, k, v = (linear(x, w, at + "attention.self." + part).reshape(len(ids), n_head, -1).swapaxes(0, 1)
                   for part in ("query", "key", "value"))
        s = q @ k.swapaxes(1, 2) / math.sqrt(q.shape[-1])
        s = np.exp(s - s.max(-1, keepdims=True))
        o = (s / s.sum(-1, keepdims=True) @ v).swapaxes(0, 1).reshape(len(ids), -1)
        x = norm(x + linear(o, w, at + "attention.output.dense"), w, at + "attention.output.LayerNorm", eps)
        f = linear(x, w, at + "intermediate.dense")
        f = 0.5 * f * (1 + erf(f / math.sqrt(2)))
        x = norm(x + linear(f, w, at + "output.dense"), w, at + "output.LayerNorm", eps)
    return x.mean(0)


def onnx_vector(session, ids):
    feed = {"input_ids": [ids], "attention_mask": [[1] * len(ids)], "token_type_ids": [[0] * len(ids)]}
    return session.run(None, {name: np.array(value, np.int64) for name, value in feed.items()})[0][0].mean(0)


def puna(program, model, lines, *options):
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in lines))
        file.flush()
        out = subprocess.run([program, "embed", "-m", model, "-f", file.name, "--json", "-q", *options], check=True, capture_output=True)
    return np.array([t["embedding"] for t in json.loads(out.stdout)["texts"]])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("model")
    p.add_argument("--puna", default="build/puna")
    p.add_argument("--onnx")
    o = p.parse_args()
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(o.folder, "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    lines = texts()
    ids = [tokenizer.encode(line).ids for line in lines]
    bad = 0
    for line, want in zip(lines, ids):
        got = subprocess.run([o.puna, "tokenize", "-m", o.model, "-q", "--", line], check=True, capture_output=True).stdout
        if list(map(int, got.split())) != want:
            print(f"tokens of {line!r}: got {got.decode().strip()}, expected {want}")
            bad += 1
    print(f"tokens: {len(lines) - bad} of {len(lines)} texts agree")
    if o.onnx:
        import onnxruntime
        session = onnxruntime.InferenceSession(o.onnx)
        want = np.array([onnx_vector(session, i) for i in ids])
    else:
        w, config = weights(o.folder), from_file(os.path.join(o.folder, "config.json"))
        want = np.array([vector(w, config, i) for i in ids])
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    for backend in ("ref", "cpu"):
        got = puna(o.puna, o.model, lines, "--backend", backend)
        cosine = (got * want).sum(1) / np.linalg.norm(got, axis=1)
        print(f"{backend}: cosine: lowest {cosine.min():.8f}, mean {cosine.mean():.8f}; difference: largest {np.abs(got - want).max():.1e}")
        bad += int((cosine < 0.9999).sum())
    return bad > 0


sys.exit(main())
