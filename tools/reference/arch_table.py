#!/usr/bin/env python3
"""Makes docs/architectures.md: every architecture of a build beside the largest errors that were seen.

usage: arch_table.py PUNA ARCHS_TXT COMPARED... > docs/architectures.md

COMPARED are outputs of arch_compare.py, whose files are named ARCHITECTURE-ANYTHING; ARCHS_TXT is tests/data/model/archs.txt."""
import json
import re
import subprocess
import sys

NOTES = {  # where numbers alone mislead
    "gemma3n": "4 layers 1.9e-7; 22 layers whose norms are random 1.1e-2, where differences of GELU grow through sparse gates: with llama.cpp's "
               "rounding of it in the reference 1.0e-5 (26 layers with norms near 1: 2.4e-7)",
    "gemma4": "1.7e-9 to 1.6e-5 over seven variants; with llama.cpp's rounding of GELU in the reference 9e-12 to 1.3e-6",
}
OTHERS = {  # compared by other means: what, and where that is tested
    "bert": "all-MiniLM-L6-v2, 100 texts: cosine 0.9999987 at least; tiny files by llama.cpp, 1e-13 to 7e-7 (`tools/reference/minilm_compare.py`, `embed_compare.py`)",
    "t5": "tiny files by llama.cpp: 6e-12; with a gate 8e-5, its GELU comes from a table of half precision (`tests/unit/test_t5.c`)",
    "t5encoder": "tiny files by llama.cpp: 1e-12; with a gate 1.6e-6, for the same reason",
    "deepseek2-ocr": "a tiny file by llama.cpp: 1e-13",
}
ENCODERS = ("nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert", "eurobert", "neo-bert", "gemma-embedding",
            "llama-embed")

puna, archs, *compared = sys.argv[1:]
names = json.loads(subprocess.run([puna, "formats", "--json"], capture_output=True, check=True, text=True).stdout)["architectures"]
tiny = {line.split()[0].split(":")[0] for line in open(archs)}
worst = {}
for path in compared:
    for line in open(path):
        fields = line.split()
        if len(fields) < 4 or not re.match(r"\d\.\de-\d+$", fields[1]):
            continue
        file = fields[0]
        stem = re.split(":", file.rsplit("-", 1)[0])[0]
        name = stem if stem in names else max((n for n in names if stem.startswith(n)), key=len, default=None)
        if name:
            numbers = [float(f) for f in fields[1:4]]
            worst[name] = [max(a, b) for a, b in zip(worst.get(name, [0, 0, 0]), numbers)]

print("""# Architectures

Made by `tools/reference/arch_table.py`. The errors are the largest normalised mean squared differences from the logits of llama.cpp b11434 (cache in float32, attention not fused) over 40 random tokens of small random
models: the files of its own `test-llama-archs` with seeds 1 and 7, or, where it makes none, files made up here. `ref` is the scalar reference, `cpu` the CPU backend, `by steps` the same token by token. *tiny*: the
model that is made from the descriptor is compared in every `make test` too, also after going back and beside another sequence (`tests/unit/test_archs.c`). Errors of 1e-8 come from llama.cpp's GELU, a table of half precision.

| architecture | ref | cpu | by steps | in `make test` |
|---|---|---|---|---|""")
for name in sorted(names):
    where = "tiny" if name in tiny else ""
    if name in NOTES:
        print(f"| {name} | {NOTES[name]} | | | {where} |")
    elif name in worst:
        print(f"| {name} | " + " | ".join(f"{v:.1e}" for v in worst[name]) + f" | {where} |")
    elif name in OTHERS:
        print(f"| {name} | {OTHERS[name]} | | | {where} |")
    elif name in ENCODERS:
        print(f"| {name} | tiny files by llama.cpp, 1e-13 to 7e-7 (`tools/reference/embed_compare.py`) | | | `test_embed` |")
    else:
        print(f"| {name} | not compared | | | {where} |")
