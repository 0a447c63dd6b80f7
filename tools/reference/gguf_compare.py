#!/usr/bin/env python3
"""Compares what src/gguf reads with what the gguf Python package reads: every key with its type,
length and values, every tensor with its encoding, shape and bytes.

usage: gguf_compare.py MODEL.gguf...            from the project's folder, after `make`
       gguf_compare.py --count MODEL.gguf...    the table of tests/unit/test_container.c
Needs the package gguf, and cc."""
import difflib
import os
import struct
import subprocess
import sys
import tempfile
import zlib

from gguf import GGUFReader, GGUFValueType


def crc_field(field):
    element = field.types[-1]
    total = 0
    for index in field.data:
        part = field.parts[index]
        if element == GGUFValueType.STRING:
            text = part.tobytes()
            data = struct.pack("<Q", len(text)) + text
        elif element in (GGUFValueType.FLOAT32, GGUFValueType.FLOAT64):
            data = struct.pack("<d", float(part[0]))
        else:
            data = struct.pack("<Q", int(part[0]) & 0xFFFFFFFFFFFFFFFF)
        total = zlib.crc32(data, total)
    return total


def listing(path):
    reader = GGUFReader(path)
    for name, field in reader.fields.items():
        if name.startswith("GGUF."):
            continue
        n = len(field.data) if field.types[0] == GGUFValueType.ARRAY else 1
        yield f"key\t{name}\t{int(field.types[0])}\t{int(field.types[-1])}\t{n}\t{crc_field(field):08x}"
    for tensor in reader.tensors:
        shape = "x".join(str(int(n)) for n in tensor.shape)
        data = tensor.data.tobytes()
        yield (f"tensor\t{tensor.name}\t{int(tensor.tensor_type)}\t{shape}\t{len(data)}\t"
               f"{zlib.crc32(data):08x}")


def count(path):
    reader = GGUFReader(path)
    n_keys = sum(not name.startswith("GGUF.") for name in reader.fields)
    tokens = reader.fields["tokenizer.ggml.tokens"]
    types = reader.fields["tokenizer.ggml.token_type"]
    n_bytes = sum(len(tokens.parts[i]) for i in tokens.data)
    total = sum(int(types.parts[i][0]) for i in types.data)
    print(f'{{ "{path}", {n_keys}, {len(reader.tensors)}, {len(tokens.data)}, {n_bytes}, {total} }},')


def main(paths):
    if paths[:1] == ["--count"]:
        for path in paths[1:]:
            count(path)
        return 0
    n_different = 0
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "gguf_dump")
        subprocess.run(["cc", "-std=c17", "-O2", "-Isrc", "-Iinclude", "tools/reference/gguf_dump.c",
                        "build/release/libpuna.a", "-lm", "-o", program], check=True)
        for path in paths:
            done = subprocess.run([program, path], capture_output=True, text=True,
                                  errors="surrogateescape")
            ours, theirs = done.stdout.splitlines(), list(listing(path))
            same = ours == theirs and done.returncode == 0
            n_different += not same
            print(f"{os.path.basename(path)}: {len(theirs)} lines {'equal' if same else 'DIFFER'}", done.stderr)
            if not same:
                print("\n".join(list(difflib.unified_diff(theirs, ours, "gguf", "puna", "", "", 0))[:40]))
    return 1 if n_different or not paths else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
