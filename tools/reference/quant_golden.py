"""Writes tests/data/quant/golden.bin, which tests/unit/test_quant.c reads. Needs gguf, numpy and
llama_cpp. usage: quant_golden.py OUTPUT

All little-endian. "PQG1", u32 number of formats; then for each: u32 number, elems, bytes; a name of
8 bytes; dequantise: u32 n, n blocks, n * elems f32; u32 n, n blocks and a u64 digest for each; u64 digest
of n_random blocks of random_bytes(number). Quantise: u32 kind (0 not written by others, 1 exact, 2 in
squared error), then for kind > 0 f64 their squared error over bell_values, and for kind 1 the blocks
of every pattern, u64 digest of the blocks of bell_values, u64 of those of bit_values (elems 1)."""
import struct
import sys

import numpy as np

import quant_reference as ref

N_RANDOM, N_BELL, N_BITS = 256, 8192, 4096


def dequantise_part(f):
    n = 1 if f.elems > 1 else 12
    explicit = ref.random_bytes(1000 + f.number, n * f.bytes).reshape(n, f.bytes)
    for at in ref.F16_FIELDS.get(f.name, []):
        explicit[:, at:at + 2] = np.array([0.01], "<f2").view(np.uint8)
    extreme = ref.extreme_blocks(f, 2000 + f.number)
    out = struct.pack("<I", n) + explicit.tobytes() + ref.dequantize(f, explicit).astype("<f4").tobytes()
    out += struct.pack("<I", len(extreme)) + extreme.tobytes()
    out += b"".join(struct.pack("<Q", ref.digest(ref.dequantize(f, row))) for row in extreme)
    values = ref.dequantize(f, ref.random_bytes(f.number, N_RANDOM * f.bytes))
    return out + struct.pack("<Q", ref.digest(values))


def quantise_part(f):
    bell = ref.bell_values(3000 + f.number, N_BELL)
    theirs = ref.quantize(f, bell)
    if theirs is None:
        return struct.pack("<I", 0)
    blocks, exact = theirs
    out = struct.pack("<Id", 1 if exact else 2, ref.squared_error(f, blocks, bell))
    if exact:
        n = max(f.elems, 32)
        out += b"".join(ref.quantize(f, ref.pattern_values(p, n))[0].tobytes() for p in range(ref.N_PATTERNS))
        out += struct.pack("<Q", ref.digest(blocks))
        if f.elems == 1:
            out += struct.pack("<Q", ref.digest(ref.quantize(f, ref.bit_values(4000 + f.number, N_BITS))[0]))
    return out


def main():
    formats = ref.formats()
    with open(sys.argv[1], "wb") as out:
        out.write(b"PQG1" + struct.pack("<I", len(formats)))
        for f in formats:
            out.write(struct.pack("<III8s", f.number, f.elems, f.bytes, f.name.encode()))
            out.write(dequantise_part(f) + quantise_part(f))
        print(f"{len(formats)} formats, {out.tell()} bytes")


main()
