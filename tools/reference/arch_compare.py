#!/usr/bin/env python3
"""puna beside llama.cpp, architecture by architecture: logits of the same tokens by the same small files.

usage: arch_compare.py [--puna PROGRAM] [--oracle arch_logits] [--tokens N] [--seed S] [--markdown] FILE.gguf...

For each file the normalised mean squared error against the oracle (tools/reference/arch_logits.c, built outside of the
project): with the reference backend, with the cpu's, token by token, and what puna says where it refuses the file.
Needs numpy."""
import argparse
import os
import subprocess
import sys

import numpy as np

ENCODED = ("t5", "dream", "llada", "llada-moe", "rnd1")


def tokens_of(n, seed, n_vocab):
    return [((seed + 1) * 7919 + i * 104729 + i * i * 31) % n_vocab for i in range(n)]


def oracle(program, path, n, seed):
    name = os.path.basename(path).rsplit("-", 1)[0]
    command = [program, path, str(n), str(seed)] + (["encode"] if name in ENCODED else [])
    done = subprocess.run(command, capture_output=True)
    if done.returncode:
        raise RuntimeError("oracle: " + (done.stderr.decode(errors="replace").strip().splitlines() or ["?"])[-1][:160])
    head, data = done.stdout.split(b"\n", 1)
    rows, n_vocab = map(int, head.split())
    return np.frombuffer(data, "<f4").reshape(rows, n_vocab).astype(np.float64)


def logits(program, path, tokens, n_vocab, *options):
    command = [program, "logits", "-m", path, "--raw", "--all", "-q", "--tokens", ",".join(map(str, tokens)), *options]
    done = subprocess.run(command, capture_output=True)
    if done.returncode:
        raise RuntimeError((done.stderr.decode(errors="replace").strip().splitlines() or [f"exit {done.returncode}"])[0][:200])
    return np.frombuffer(done.stdout, "<f4").reshape(len(tokens), n_vocab).astype(np.float64)


def nmse(got, want):
    return float(((got - want) ** 2).sum() / (want**2).sum())


def main():
    p = argparse.ArgumentParser()
    p.add_argument("files", nargs="+")
    p.add_argument("--puna", default="build/puna")
    p.add_argument("--oracle", default="arch_logits")
    p.add_argument("--tokens", type=int, default=40)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--markdown", action="store_true")
    o = p.parse_args()
    bad = 0
    line = "| {} | {} | {} | {} |" if o.markdown else "{:28} {:>9} {:>9} {:>9}"
    print(line.format("file", "ref", "cpu", "by steps"))
    if o.markdown:
        print("|---|---|---|---|")
    for path in sorted(o.files):
        name = os.path.basename(path).removesuffix(".gguf")
        try:
            want = oracle(o.oracle, path, o.tokens, o.seed)
            ids = tokens_of(o.tokens, o.seed, want.shape[1])
            ref = nmse(logits(o.puna, path, ids, want.shape[1], "--backend", "ref"), want)
            cpu = nmse(logits(o.puna, path, ids, want.shape[1]), want)
            step = cpu if name.rsplit("-", 1)[0] in ENCODED else nmse(logits(o.puna, path, ids, want.shape[1], "--batch", "1"), want)
        except RuntimeError as reason:
            print(f"| {name} | {reason} | | |" if o.markdown else f"{name:28} {reason}")
            bad += 1
            continue
        good = ref <= 1e-6 and cpu <= 1e-5 and step <= 1e-5
        bad += not good
        print(line.format(name, f"{ref:.1e}", f"{cpu:.1e}", f"{step:.1e}") + ("" if good else "   WRONG"), flush=True)
    print(f"{len(o.files) - bad} of {len(o.files)} agree")
    return bad > 0


sys.exit(main())
