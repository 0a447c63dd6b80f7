#!/usr/bin/env python3
"""puna beside llama.cpp: the vectors of the same tokens by the same small encoders.

usage: embed_compare.py [--puna PROGRAM] [--oracle embed_vectors] [--tokens N] FILE.gguf...

For each file and way of pooling the normalised mean squared error against the oracle (tools/reference/embed_vectors.c,
built outside of the project), with the reference backend and the cpu's; "-": neither has that. What is
left is the oracle's GELU, rounded to float16, most of all where the vector is a single number. Files come from
tiny_encoders.py. Needs numpy."""
import argparse
import os
import subprocess
import sys

import numpy as np


def vectors(command, head):
    done = subprocess.run(command, capture_output=True)
    if done.returncode:
        return None, (done.stderr.decode(errors="replace").strip().splitlines() or ["?"])[-1]
    data = done.stdout.split(b"\n", 1)[1] if head else done.stdout
    return np.frombuffer(data, "<f4").astype(np.float64), ""


def main():
    p = argparse.ArgumentParser()
    p.add_argument("files", nargs="+")
    p.add_argument("--puna", default="build/puna")
    p.add_argument("--oracle", default="embed_vectors")
    p.add_argument("--tokens", type=int, default=40)
    o = p.parse_args()
    ids = [(7919 + i * 104729 + i * i * 31) % 96 for i in range(o.tokens)]
    bad = 0
    for path in sorted(o.files):
        cells = []
        for pooling in ("none", "mean", "cls", "last", "rank"):
            want, why = vectors([o.oracle, path, pooling, *map(str, ids)], True)
            for backend in ("ref", "cpu"):
                got, reason = vectors([o.puna, "embed", "-m", path, "--tokens", ",".join(map(str, ids)), "--pooling", pooling,
                                       "--normalize", "off", "--raw", "-q", "--backend", backend], False)
                if got is None and pooling == "rank" and "no classifier" in reason:
                    cells.append("-")
                elif got is None or want is None or len(got) != len(want):
                    print(f"{path}, {pooling}, {backend}: got {got is not None and len(got)} {reason}, expected {want is not None and len(want)} {why}")
                    cells.append("WRONG")
                    bad += 1
                else:
                    error = ((got - want) ** 2).sum() / (want**2).sum()
                    good = error <= (1e-4 if pooling == "rank" else 1e-6 if backend == "ref" else 1e-5)
                    bad += not good
                    cells.append(f"{error:.1e}" + ("" if good else "!"))
        print(f"{os.path.basename(path):28}", "  ".join(f"{p} {cells[2 * i]:>8} {cells[2 * i + 1]:>8}"
                                                     for i, p in enumerate(("none", "mean", "cls", "last", "rank"))), flush=True)
    return bad > 0


sys.exit(main())
