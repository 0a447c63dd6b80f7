#!/usr/bin/env python3
"""How far puna's logits lie from the exact answer on a real model.

usage: exact_compare.py PUNA MODEL.gguf TOKENS.json EXACT.npz [--backend ref|cpu] [--kv f16|f32] [--golden OUT]

TOKENS.json is a list of id lists; EXACT.npz holds p0, p1, ... of log-probabilities [n, vocab], as the
shared exact.py writes them. Prints, over all positions: the largest difference among exact
log-probabilities above -10, mean KL(exact || puna), and how often the best token is the same
(a different one is excused when the exact best two lie within 2e-3). Exit 1 when --backend ref
leaves its bounds. --golden writes a small text file for tests/unit/test_real.c."""
import argparse, json, subprocess, sys
import numpy as np

a = argparse.ArgumentParser()
a.add_argument("puna"); a.add_argument("model"); a.add_argument("tokens"); a.add_argument("exact")
a.add_argument("--backend", default="cpu"); a.add_argument("--kv", default="f16"); a.add_argument("--golden")
a = a.parse_args()
lists, exact = json.load(open(a.tokens)), np.load(a.exact)
worst, kls, same, excused, total = 0.0, [], 0, 0, 0
golden = []
for j, ids in enumerate(lists):
    e = exact[f"p{j}"]
    n, vocab = e.shape
    if a.golden:
        golden.append("text " + " ".join(map(str, ids)))
        for i in range(7, n, 8):
            best = np.argsort(-e[i], kind="stable")[:20]
            golden.append(f"at {i} " + " ".join(f"{t}:{e[i][t]:.4f}" for t in best))
        continue
    out = subprocess.run([a.puna, "logits", "-m", a.model, "--tokens", ",".join(map(str, ids)), "--all", "--raw",
                          "--backend", a.backend, "--kv-type", a.kv], stdout=subprocess.PIPE, check=True).stdout
    got = np.frombuffer(out, dtype="<f4").reshape(n, vocab).astype(np.float64)
    got = got - got.max(-1, keepdims=True)
    got = got - np.log(np.exp(got).sum(-1, keepdims=True))
    for i in range(n):
        row = e[i].astype(np.float64)
        seen = row > -10
        worst = max(worst, float(np.abs(row - got[i])[seen].max()))
        kls.append(float((np.exp(row) * (row - got[i])).sum()))
        two = np.partition(-row, 1)[:2]
        if row.argmax() == got[i].argmax():
            same += 1
        elif abs(two[0] - two[1]) <= 2e-3:
            excused += 1
        total += 1
if a.golden:
    open(a.golden, "w").write("\n".join(golden) + "\n")
    sys.exit(0)
print(f"backend {a.backend}, kv {a.kv}: {total} positions, largest difference {worst:.2e}, mean KL {np.mean(kls):.3e}, "
      f"same best {100 * same / total:.2f} %, excused {excused}")
sys.exit(1 if a.backend == "ref" and (worst > 2e-3 or same + excused < total) else 0)
