#!/usr/bin/env python3
"""Makes tests/data/model/archs.txt: the logits of llama.cpp for the last of 24 tokens, by every architecture's tiny model.

usage: arch_golden.py TEST_ARCHS ORACLE OUT     (build/release/tests/test_archs, a build of tools/reference/arch_logits.c)

Files that the oracle does not load are named on standard error and left out. Needs numpy."""
import os
import subprocess
import sys
import tempfile

import numpy as np

N = 24
ENCODED = ("t5", "dream", "llada", "llada-moe", "rnd1")
program, oracle, out = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder, open(out, "w") as golden:
    subprocess.run([program, "--write", folder], check=True)
    for file in sorted(os.listdir(folder)):
        name = file.removesuffix(".gguf")
        command = [oracle, os.path.join(folder, file), str(N), "1"] + (["encode"] if name.split(":")[0] in ENCODED else [])
        done = subprocess.run(command, capture_output=True)
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or ["?"]
            print(f"{name}: {lines[0][:200]}", file=sys.stderr)
            continue
        head, data = done.stdout.split(b"\n", 1)
        rows, n_vocab = map(int, head.split())
        last = np.frombuffer(data, "<f4").reshape(rows, n_vocab)[-1]
        golden.write(name + " " + " ".join(f"{v:.8g}" for v in last) + "\n")
