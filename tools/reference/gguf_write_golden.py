#!/usr/bin/env python3
"""Makes tests/data/gguf/written-*.gguf with the gguf Python package: the keys and tensors that
tests/unit/test_gguf_write.c writes, whose bytes must be the same.

usage: gguf_write_golden.py [FOLDER]     from the project's folder; needs the package gguf (0.19)"""
import sys

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize

folder = sys.argv[1] if len(sys.argv) > 1 else "tests/data/gguf"


def write(name, alignment):
    w = GGUFWriter(f"{folder}/{name}", "llama")
    w.add_uint32("test.u32", 0xFFFFFFFE)
    w.add_float32("test.f32", -1.5)
    w.add_bool("test.yes", True)
    w.add_bool("test.no", False)
    w.add_string("test.text", "caf\u00e9")
    w.add_array("test.texts", ["", "a", "\u2581b", "<0x0A>"])
    w.add_array("test.f32s", [0.0, -0.5, 3.0e38])
    w.add_array("test.i32s", [-1, 0, 2147483647])
    if alignment:
        w.add_custom_alignment(alignment)
    values = np.arange(96, dtype=np.float32) - 47.5
    w.add_tensor("one", values[:3].copy())
    w.add_tensor("two.weight", quantize(values.reshape(3, 32), GGMLQuantizationType.Q8_0),
                 raw_dtype=GGMLQuantizationType.Q8_0)
    w.add_tensor("three", values[:30].reshape(5, 3, 2).astype(np.float16))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


write("written-32.gguf", 0)
write("written-64.gguf", 64)
