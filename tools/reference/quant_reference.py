"""What src/quant must compute, from other people's code: the `gguf` package for every encoding it
implements, ggml itself (inside `llama_cpp`) for what that package leaves out. Shared by
quant_golden.py and quant_compare.py.

Own definitions, because the package has none: i8 i16 i32 i64 f64 (numpy's conversion), q8_1 and
q8_k (d * q, the rule of ggml's header), q1_0 and q2_0 (checked against ggml by quant_compare.py).
Sizes are the package's, except q8_1: it says 40 bytes, ggml's files have 36 (two f16, 32 codes).
"""
import ctypes
import os

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf import quants

# Where the f16 scales lie in a block: what makes a random block extreme.
F16_FIELDS = {
    "q4_0": [0], "q4_1": [0, 2], "q5_0": [0], "q5_1": [0, 2], "q8_0": [0], "q8_1": [0, 2],
    "q1_0": [0], "q2_0": [0], "q2_k": [80, 82], "q3_k": [108], "q4_k": [0, 2], "q5_k": [0, 2],
    "q6_k": [208], "iq1_s": [0], "iq2_xxs": [0], "iq2_xs": [0], "iq2_s": [0], "iq3_xxs": [0],
    "iq3_s": [0], "iq4_nl": [0], "iq4_xs": [0], "tq1_0": [52], "tq2_0": [64],
}
F16_EXTREMES = [0x0000, 0x8000, 0x0001, 0x83ff, 0x0400, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00]
PLAIN = {"f32": "<f4", "f16": "<f2", "f64": "<f8", "i8": "<i1", "i16": "<i2", "i32": "<i4", "i64": "<i8"}


class Format:
    def __init__(self, name, number, elems, size):
        self.name, self.number, self.elems, self.bytes = name, number, elems, size


def formats():
    out = [Format(t.name.lower(), int(t), *GGML_QUANT_SIZES[t]) for t in GGMLQuantizationType]
    next(f for f in out if f.name == "q8_1").bytes = 36
    if all(f.number != 42 for f in out):
        out.append(Format("q2_0", 42, 64, 18))
    return out


def mix(z):
    """splitmix64's output function, on an array."""
    with np.errstate(over="ignore"):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def words(seed, n):
    """n 64-bit words; word k depends on seed and k alone."""
    k = np.arange(1, n + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        return mix(np.uint64(seed) + k * np.uint64(0x9E3779B97F4A7C15))


def random_bytes(seed, n):
    return words(seed, (n + 7) // 8).view(np.uint8)[:n].copy()


def bell_values(seed, n):
    """Sums of four 16-bit numbers, about normal, exact in 18 bits: standard deviation 0.036."""
    fields = words(seed, n).view(np.int16).reshape(n, 4).astype(np.int32).sum(axis=1)
    return fields.astype(np.float32) * np.float32(2.0 ** -20)


def bit_values(seed, n):
    """Floats of every exponent; none infinite or NaN."""
    bits = random_bytes(seed, 4 * n).view(np.uint32)
    bits = np.where((bits & 0x7F800000) == 0x7F800000, bits & np.uint32(0xBFFFFFFF), bits)
    return bits.astype(np.uint32).view(np.float32)


def pattern_values(pattern, n):
    """Finite corner cases by formula, exact in float; test_quant.c has the same."""
    i = np.arange(n)
    v = [
        0.0 * i, 0.0 * i + 0.5, 0.0 * i - 0.25, np.where(i % 2, -1.0, 1.0), (i - 16) * 0.25,
        (i % 7 - 3) * 2.0 ** -100, (i * 5 % 13 - 6) * 2.0 ** -20, (i * 7 % 17 - 8) * 1024.0,
        np.where(i == 3, 100.0, i % 5 * 2.0 ** -6), -0.0 * (i + 1), np.where(i % 2, 0.375, -3.0 * (i == 4)),
    ]
    return v[pattern].astype(np.float32)


N_PATTERNS = 11


def digest(v):
    """A 64-bit sum over a float32 (NaNs alike) or uint8 array, weighted by position."""
    if v.dtype == np.float32:
        v = np.where(np.isnan(v), np.uint32(0x7FC00000), v.view(np.uint32))
    w = mix(np.arange(v.size, dtype=np.uint64)) | np.uint64(1)
    with np.errstate(over="ignore"):
        return int((v.ravel().astype(np.uint64) * w).sum(dtype=np.uint64))


def dequantize(f, blocks):
    """float32 (n * elems) from uint8 (n * bytes)."""
    blocks = np.ascontiguousarray(blocks, np.uint8).ravel()
    with np.errstate(all="ignore"):
        if f.name in PLAIN:
            return blocks.view(PLAIN[f.name]).astype(np.float32)
        b = blocks.reshape(-1, f.bytes)
        if f.name == "q8_1":
            d = b[:, :2].copy().view("<f2").astype(np.float32)
            return (d * b[:, 4:].view(np.int8).astype(np.float32)).ravel()
        if f.name == "q8_k":
            d = b[:, :4].copy().view("<f4")
            return (d * b[:, 4:260].view(np.int8).astype(np.float32)).ravel()
        if f.name in ("q1_0", "q2_0"):
            d = b[:, :2].copy().view("<f2").astype(np.float32)
            if f.name == "q1_0":
                bits = np.unpackbits(b[:, 2:], axis=1, bitorder="little")
                return np.where(bits == 1, d, -d).ravel()
            codes = (b[:, 2:, None] >> np.array([0, 2, 4, 6], np.uint8)) & 3
            return (d * (codes.reshape(len(b), -1).astype(np.float32) - 1)).ravel()
        return quants.dequantize(blocks.reshape(-1, f.bytes), GGMLQuantizationType(f.number)).ravel()


_ggml = None


def ggml():
    """ggml's base library as ctypes sees it, or None without llama_cpp."""
    global _ggml
    if _ggml is None:
        try:
            import llama_cpp
            folder = os.path.join(os.path.dirname(llama_cpp.__file__), "lib")
            _ggml = ctypes.CDLL(os.path.join(folder, "libggml-base.so"))
        except ImportError:
            return None
    return _ggml


def ggml_name(f):
    return f.name[:-1] + "K" if f.name.endswith("_k") else f.name


def ggml_quantize(f, values):
    fn = getattr(ggml(), f"quantize_row_{ggml_name(f)}_ref")
    fn.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    values = np.ascontiguousarray(values, np.float32)
    out = np.zeros(values.size // f.elems * f.bytes, np.uint8)
    fn(values.ctypes.data, out.ctypes.data, values.size)
    return out


def ggml_quantize_weighted(f, values):
    """ggml's other way to write, with weights of importance: here all are one."""
    fn = getattr(ggml(), f"quantize_{ggml_name(f)}")
    fn.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
    fn.restype = ctypes.c_size_t
    values = np.ascontiguousarray(values, np.float32)
    out = np.zeros(values.size // f.elems * f.bytes, np.uint8)
    row = 256
    ones = np.ones(row, np.float32)
    fn(values.ctypes.data, out.ctypes.data, values.size // row, row, ones.ctypes.data)
    return out


def squared_error(f, blocks, values):
    return ((dequantize(f, blocks).astype(np.float64) - values.astype(np.float64)) ** 2).sum()


def ggml_dequantize(f, blocks):
    fn = getattr(ggml(), f"dequantize_row_{ggml_name(f)}", None)
    if fn is None:
        return None
    fn.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    blocks = np.ascontiguousarray(blocks, np.uint8)
    out = np.zeros(blocks.size // f.bytes * f.elems, np.float32)
    fn(blocks.ctypes.data, out.ctypes.data, out.size)
    return out


def quantize(f, values):
    """(bytes, exact): what others write; exact says that puna must write the same bytes, otherwise it is
    the better of two ways. None when nobody writes it without weights of importance."""
    values = np.ascontiguousarray(values, np.float32)
    with np.errstate(all="ignore"):
        if f.name in ("f32", "f16", "f64"):
            return values.astype(PLAIN[f.name]).view(np.uint8), True
        if f.name in ("bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "tq1_0", "tq2_0", "mxfp4"):
            rows = values.reshape(-1, f.elems) if f.elems > 1 else values.reshape(1, -1)
            return quants.quantize(rows, GGMLQuantizationType(f.number)).ravel(), True
    if f.name in ("q1_0", "q8_1", "q8_k", "q2_0"):
        return ggml_quantize(f, values), True
    if f.name in ("q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs", "nvfp4"):
        ways = [ggml_quantize(f, values), ggml_quantize_weighted(f, values)]
        return min(ways, key=lambda blocks: squared_error(f, blocks, values)), False
    return None


def extreme_blocks(f, seed):
    """uint8 (n, bytes): all zeros, all ones, and scales of every class over random codes."""
    rows = [np.full(f.bytes, v, np.uint8) for v in (0x00, 0xFF, 0x7F, 0x80, 0x55)]
    fill = random_bytes(seed, f.bytes * 64).reshape(-1, f.bytes)
    for k, bits in enumerate(F16_EXTREMES):
        if f.name in F16_FIELDS:
            row = fill[k].copy()
            for n, at in enumerate(F16_FIELDS[f.name]):
                other = F16_EXTREMES[(k + 3 * n) % len(F16_EXTREMES)]
                row[at:at + 2] = np.array([other], "<u2").view(np.uint8)
            rows.append(row)
        elif f.name == "iq1_m":
            row = fill[k].copy()
            for n in range(4):
                row[49 + 2 * n] = (row[49 + 2 * n] & 15) | ((bits >> (4 * n) & 15) << 4)
            rows.append(row)
        elif f.name == "q8_k":
            row = fill[k].copy()
            row[:4] = np.array([bits << 16], "<u4").view(np.uint8)
            rows.append(row)
    if f.name in ("mxfp4", "nvfp4"):
        for k, e in enumerate((0, 1, 2, 127, 128, 254, 255, 0x7E, 0x7F, 8, 7)):
            row = fill[k].copy()
            row[:1 if f.name == "mxfp4" else 4] = e
            rows.append(row)
    if f.elems == 1:
        v = [0, 1, -1, 127, -128, 32767, -32768, 16777217, 2**31 - 1, -2**31, 2**62 + 2**37, -2**63]
        special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 65504, 65520, 1e-8, 3.4e38, 1e300, 1 / 3]
        kind = PLAIN.get(f.name, "<u2")
        with np.errstate(all="ignore"):
            a = np.array(special if "f" in kind else v, np.float64 if "f" in kind else np.int64)
            rows += list(a.astype(kind).view(np.uint8).reshape(-1, f.bytes))
    return np.stack(rows)
