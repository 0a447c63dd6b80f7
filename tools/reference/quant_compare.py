"""Compares src/quant with the `gguf` package and ggml on many blocks of every format: decoded values bit
for bit (NaN as NaN), written blocks byte for byte where the encoding is defined so, squared error elsewhere.
Builds src/quant as a shared object in a temporary folder; run from the repository root.
usage: quant_compare.py [--blocks N] [--weights FILE]
    [--cc CC] [--cflags "..."] [format ...]"""
import argparse
import ctypes
import glob
import os
import subprocess
import sys
import tempfile

import numpy as np

import quant_reference as ref


class Info(ctypes.Structure):
    _fields_ = [("id", ctypes.c_int), ("name", ctypes.c_char_p),
                ("block_elems", ctypes.c_uint32), ("block_bytes", ctypes.c_uint32),
                ("dequantize", ctypes.c_void_p), ("quantize", ctypes.c_void_p)]


def build(folder, cc, cflags):
    out = os.path.join(folder, "quant.so")
    subprocess.check_call([cc, "-std=c17", "-O2", *cflags.split(), "-shared", "-fPIC", "-Isrc", "-o", out,
                           *sorted(glob.glob("src/quant/*.c")), "-lm"])
    lib = ctypes.CDLL(out)
    lib.puna_format_get.restype = ctypes.POINTER(Info)
    return lib


CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


def same(a, b):
    """How many float32 values differ, NaNs being alike."""
    return int(((a.view(np.uint32) != b.view(np.uint32)) & ~(np.isnan(a) & np.isnan(b))).sum())


def compare_dequantise(f, info, n_blocks):
    bad = 0
    bad_ggml = 0
    for at in range(0, n_blocks, 16384):
        n = min(16384, n_blocks - at)
        blocks = ref.random_bytes(90000 + f.number * 100 + at, n * f.bytes)
        if f.elems > 1 and at == 0:
            extreme = ref.extreme_blocks(f, 5)
            blocks[:extreme.size] = extreme.ravel()
        got = np.empty(n * f.elems, np.float32)
        CALL(info.dequantize)(blocks.ctypes.data, got.ctypes.data, got.size)
        bad += same(got, ref.dequantize(f, blocks))
        theirs = ref.ggml_dequantize(f, blocks) if ref.ggml() and f.elems > 1 else None
        bad_ggml += same(got, theirs) if theirs is not None else 0
    return bad, bad_ggml


def real_weights(path, n):
    """The first n values of the median matrix of floats in a GGUF file."""
    from gguf import GGUFReader
    kinds = (ref.GGMLQuantizationType.F32, ref.GGMLQuantizationType.F16, ref.GGMLQuantizationType.BF16)
    tensors = [t for t in GGUFReader(path).tensors if t.tensor_type in kinds and len(t.shape) == 2]
    tensor = sorted(tensors, key=lambda t: t.n_elements)[len(tensors) // 2]
    return ref.quants.dequantize(tensor.data, tensor.tensor_type).ravel()[:n]


def value_sets(f, n, weights):
    if weights is not None:
        values = real_weights(weights, n)
        yield "weights", values[:values.size // f.elems * f.elems]
        return
    rng = np.random.default_rng(f.number)
    yield "normal", rng.standard_normal(n) * 0.02
    yield "laplace", rng.laplace(size=n) * 0.02
    yield "student3", rng.standard_t(3, size=n) * 0.01
    yield "uniform", rng.uniform(-1, 1, n)
    yield "sparse", np.where(rng.random(n) < 0.1, rng.standard_normal(n), 0.0)
    yield "shifted", rng.standard_normal(n) * 0.02 + 0.05


def compare_quantise(f, info, n_blocks, weights):
    out = []
    for name, values in value_sets(f, n_blocks * f.elems, weights):
        values = np.ascontiguousarray(values, np.float32)
        blocks = np.zeros(values.size // f.elems * f.bytes, np.uint8)
        CALL(info.quantize)(values.ctypes.data, blocks.ctypes.data, values.size)
        theirs = ref.quantize(f, values)
        if theirs is None:
            return ["no one to compare with"]
        if theirs[1]:
            bad = int((blocks.reshape(-1, f.bytes) != theirs[0].reshape(-1, f.bytes)).any(axis=1).sum())
            out.append(f"{name} {bad} differ")
        else:
            ratio = ref.squared_error(f, blocks, values) / ref.squared_error(f, theirs[0], values)
            out.append(f"{name} {ratio:.4f}")
    return out


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--blocks", type=int, default=100000)
    args.add_argument("--write-blocks", type=int, default=4000)
    args.add_argument("--cc", default="gcc")
    args.add_argument("--cflags", default="")
    args.add_argument("--weights", help="a GGUF file of floats instead of random values to write")
    args.add_argument("formats", nargs="*")
    args = args.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        lib = build(folder, args.cc, args.cflags)
        for f in ref.formats():
            if args.formats and f.name not in args.formats:
                continue
            info = lib.puna_format_get(f.number).contents
            assert (info.name.decode(), info.block_elems, info.block_bytes) == (f.name, f.elems, f.bytes)
            bad, bad_ggml = compare_dequantise(f, info, args.blocks)
            failed |= bad > 0
            line = f"{f.name:8} {args.blocks * f.elems} values: {bad} differ"
            line += f" ({bad_ggml} from ggml)" if bad_ggml else ""
            if info.quantize:
                line += "; written, ours/theirs: " + ", ".join(
                    compare_quantise(f, info, args.write_blocks, args.weights))
            print(line, flush=True)
    sys.exit(failed)


main()
