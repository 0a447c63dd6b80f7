#!/usr/bin/env python3
"""Writes the seeds of fuzz_model: one tiny random model for each architecture, each quantised otherwise.

usage: model_seeds.py OUT_FOLDER        needs: pip install gguf numpy"""
import sys

import gguf
import numpy as np

EMBD, HEADS, FF, VOCAB = 32, 2, 32, 16
HEAD = EMBD // HEADS
LAYER = [("attn_norm", EMBD), ("ffn_norm", EMBD), ("attn_q", EMBD, EMBD), ("attn_k", HEAD, EMBD), ("attn_v", HEAD, EMBD),
         ("attn_output", EMBD, EMBD), ("ffn_gate", FF, EMBD), ("ffn_up", FF, EMBD), ("ffn_down", EMBD, FF)]
GEMMA3 = [("attn_q_norm", HEAD), ("attn_k_norm", HEAD), ("post_attention_norm", EMBD), ("post_ffw_norm", EMBD)]
QWEN2 = [("attn_q.bias", EMBD), ("attn_k.bias", HEAD), ("attn_v.bias", HEAD)]


def write(path, arch, encoding, extra=()):
    w = gguf.GGUFWriter(path, arch)
    rng = np.random.default_rng(1)
    w.add_block_count(1); w.add_embedding_length(EMBD); w.add_context_length(32); w.add_feed_forward_length(FF)
    w.add_head_count(HEADS); w.add_head_count_kv(1); w.add_layer_norm_rms_eps(1e-5)
    if arch == "gemma3":
        w.add_sliding_window(8)
    w.add_tokenizer_model("llama")
    w.add_token_list([b"<unk>", b"<s>", b"</s>"] + [bytes([97 + i]) for i in range(VOCAB - 3)])
    w.add_token_scores([0.0] * VOCAB); w.add_token_types([2, 3, 3] + [1] * (VOCAB - 3))
    w.add_chat_template("{% for m in messages %}{{ m.role }}:{{ m.content }}{% endfor %}")
    tensors = [("token_embd", VOCAB, EMBD), ("output_norm", EMBD)] + [("blk.0." + t[0], *t[1:]) for t in [*LAYER, *extra]]
    for name, *shape in tensors:
        name += "" if name.endswith(".bias") else ".weight"
        values = rng.standard_normal(shape).astype(np.float32) * 0.2
        if len(shape) == 2:
            w.add_tensor(name, gguf.quants.quantize(values, encoding), raw_dtype=encoding)
        else:
            w.add_tensor(name, values)
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()


TYPES = gguf.GGMLQuantizationType
write(sys.argv[1] + "/llama-q4_0.gguf", "llama", TYPES.Q4_0)
write(sys.argv[1] + "/qwen2-q8_0.gguf", "qwen2", TYPES.Q8_0, QWEN2)
write(sys.argv[1] + "/gemma3-q4_1.gguf", "gemma3", TYPES.Q4_1, GEMMA3)
