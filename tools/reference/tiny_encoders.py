#!/usr/bin/env python3
"""Small random encoders of every architecture, as GGUF files.

usage: tiny_encoders.py [--small] OUT_FOLDER [NAME...]      needs: pip install gguf numpy

A file per case: OUT/NAME.gguf, float32, with a vocabulary of a BERT, which no architecture looks at. With --small as
small as it gets: tests/data/model/bert.gguf is `--small tests/data/model bert`."""
import os
import sys

import gguf
import numpy as np

E, H, D, F, V, L = 48, 4, 12, 64, 96, 4  # widths of embedding, heads (number and width), feed-forward; vocabulary, layers
CONTEXT = 64
if "--small" in sys.argv:
    sys.argv.remove("--small")
    E, H, D, F, V, L, CONTEXT = 16, 2, 8, 24, 36, 2, 24


class Case:
    def __init__(self, folder, name, arch, layers=L):
        self.rng = np.random.default_rng(len(name) * 1000 + sum(map(ord, name)))
        self.w = gguf.GGUFWriter(os.path.join(folder, name + ".gguf"), arch)
        self.arch, self.layers = arch, layers
        self.w.add_name("tiny " + name)
        self.w.add_context_length(CONTEXT); self.w.add_embedding_length(E); self.w.add_block_count(layers)
        self.w.add_feed_forward_length(F); self.w.add_head_count(H)
        self.w.add_tokenizer_model("bert"); self.w.add_tokenizer_pre("default")
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        self.w.add_token_list(special + ["\u2581" + c for c in "abcdefghijklmnopqrstuvwxyz"] + [f"\u2581w{i}" for i in range(V - 31)])
        self.w.add_token_types([3] * 5 + [1] * (V - 5))
        self.w.add_token_type_count(2)
        self.w.add_bos_token_id(2); self.w.add_eos_token_id(3); self.w.add_sep_token_id(3)
        self.w.add_unk_token_id(1); self.w.add_pad_token_id(0); self.w.add_mask_token_id(4)

    def key(self, **keys):
        for key, value in keys.items():
            name = f"{self.arch}." + key.replace("__", ".")
            if isinstance(value, bool): self.w.add_bool(name, value)
            elif isinstance(value, str): self.w.add_string(name, value)
            elif isinstance(value, float): self.w.add_float32(name, value)
            else: self.w.add_uint32(name, value)

    def add(self, name, *shape, around=0.0, scale=0.2):
        self.w.add_tensor(name, (self.rng.standard_normal(shape) * scale + around).astype(np.float32))

    def matrix(self, name, n_in, n_out, bias=False):
        self.add(name + ".weight", n_out, n_in, scale=1.5 / n_in**0.5)
        if bias: self.add(name + ".bias", n_out)

    def norm(self, name, width=E, bias=False):
        self.add(name + ".weight", width, around=1.0)
        if bias: self.add(name + ".bias", width)

    def close(self):
        self.w.write_header_to_file(); self.w.write_kv_data_to_file(); self.w.write_tensors_to_file(); self.w.close()


def attention(c, b, q=H * D, kv=H * D, bias=False, fused=False, out_bias=False):
    if fused:
        c.matrix(b + "attn_qkv", E, q + 2 * kv, bias)
    else:
        for part, width in (("q", q), ("k", kv), ("v", kv)):
            c.matrix(b + "attn_" + part, E, width, bias)
    c.matrix(b + "attn_output", q, E, out_bias)


def bert(folder, name, arch, feed_forward, positions=False, rope=False, fused=False, bias=True, extra=None, classifier=None, types=True):
    c = Case(folder, name, arch)
    c.w.add_layer_norm_eps(1e-5); c.w.add_causal_attention(False)
    if rope: c.w.add_rope_freq_base(1000.0)
    c.matrix("token_embd", E, V)
    if types: c.matrix("token_types", E, 2)
    if positions: c.matrix("position_embd", E, CONTEXT)
    c.norm("token_embd_norm", bias=True)
    for i in range(L):
        b = f"blk.{i}."
        attention(c, b, bias=bias, fused=fused, out_bias=True)
        c.norm(b + "attn_output_norm", bias=True)
        c.norm(b + "layer_output_norm", bias=True)
        feed_forward(c, b, i)
        if extra: extra(c, b)
    if classifier: classifier(c)
    c.close()


def plain(c, b, i):
    c.matrix(b + "ffn_up", E, F, True); c.matrix(b + "ffn_down", F, E, True)


def gated(c, b, i):
    c.matrix(b + "ffn_gate", E, F); c.matrix(b + "ffn_up", E, F); c.matrix(b + "ffn_down", F, E)


def gated_bias(c, b, i):
    c.matrix(b + "ffn_gate", E, F); c.matrix(b + "ffn_up", E, F, True); c.matrix(b + "ffn_down", F, E, True)


def fused(c, b, i):
    c.matrix(b + "ffn_up", E, 2 * F, True); c.matrix(b + "ffn_down", F, E, True)


def fused_plain(c, b, i):
    c.matrix(b + "ffn_up", E, 2 * F); c.matrix(b + "ffn_down", F, E)


def experts(c, b, i):
    if i == 0: c.key(expert_count=4, expert_used_count=2, moe_every_n_layers=2)
    if i % 2 == 0: return plain(c, b, i)
    c.matrix(b + "ffn_gate_inp", E, 4)
    c.add(b + "ffn_up_exps.weight", 4, F, E); c.add(b + "ffn_down_exps.weight", 4, E, F)


def jina_norms(c, b):
    for part in ("attn_q_norm", "attn_k_norm", "attn_norm_2"):
        c.norm(b + part, bias=True)


def head(c, bias=True):
    c.matrix("cls", E, E, bias); c.matrix("cls.output", E, 1, True)


def modern_head(c):
    c.matrix("cls", E, E); c.norm("cls.norm"); c.matrix("cls.output", E, 1, True)


def modern_bert(folder, name, window, activation=None):
    c = Case(folder, name, "modern-bert", 7)
    c.w.add_layer_norm_eps(1e-5); c.w.add_causal_attention(False); c.w.add_rope_freq_base(50000.0)
    if window: c.key(attention__sliding_window=window, rope__freq_base_swa=1000.0)
    if activation: c.key(hidden_activation=activation)
    c.matrix("token_embd", E, V); c.norm("token_embd_norm"); c.norm("output_norm")
    for i in range(c.layers):
        b = f"blk.{i}."
        if i: c.norm(b + "attn_norm")
        attention(c, b, fused=True)
        c.norm(b + "ffn_norm"); fused_plain(c, b, i)
    modern_head(c)
    c.close()


def decoder(folder, name, arch, feed_forward, norm="output_norm", fused=False, kv=None, bias=False, classifier=None, causal=False):
    c = Case(folder, name, arch)
    c.w.add_layer_norm_rms_eps(1e-5); c.w.add_causal_attention(causal); c.w.add_rope_freq_base(1000.0); c.w.add_rope_dimension_count(D)
    if kv: c.w.add_head_count_kv(kv // D)
    c.matrix("token_embd", E, V); c.norm(norm)
    for i in range(L):
        b = f"blk.{i}."
        c.norm(b + "attn_norm"); attention(c, b, fused=fused, kv=kv or H * D, bias=bias); c.norm(b + "ffn_norm"); feed_forward(c, b, i)
    if classifier: classifier(c)
    c.close()


def gemma(folder, name, dense):
    c = Case(folder, name, "gemma-embedding", 7)
    wide = 16
    c.w.add_layer_norm_rms_eps(1e-6); c.w.add_causal_attention(False); c.w.add_rope_freq_base(1e6); c.w.add_head_count_kv(1)
    c.w.add_key_length(wide); c.w.add_value_length(wide); c.key(attention__sliding_window=9)
    c.matrix("token_embd", E, V); c.norm("output_norm")
    for i in range(c.layers):
        b = f"blk.{i}."
        for part in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"): c.norm(b + part)
        c.norm(b + "attn_q_norm", wide); c.norm(b + "attn_k_norm", wide)
        attention(c, b, q=H * wide, kv=wide); gated(c, b, i)
    if dense:
        c.key(dense_2_feat_in=E, dense_2_feat_out=2 * E, dense_3_feat_in=2 * E, dense_3_feat_out=E)
        c.matrix("dense_2", E, 2 * E); c.matrix("dense_3", 2 * E, E)
    c.close()


def t5_block(c, b, gate, cross):
    for part in ("attn_norm", "ffn_norm") + (("cross_attn_norm",) if cross else ()): c.norm(b + part)
    for kind in ("attn_",) + (("cross_attn_",) if cross else ()):
        for part in "qkv": c.matrix(b + kind + part, E, H * D)
        c.matrix(b + kind + "o", H * D, E)
    if gate: c.matrix(b + "ffn_gate", E, F)
    c.matrix(b + "ffn_up", E, F); c.matrix(b + "ffn_down", F, E)


def t5(folder, name, arch, gate, tied=False):
    c = Case(folder, name, arch)
    c.w.add_layer_norm_rms_eps(1e-6); c.w.add_key_length(D); c.w.add_value_length(D); c.w.add_relative_attn_buckets_count(8)
    c.matrix("token_embd", E, V); c.norm("enc.output_norm")
    for i in range(L):
        t5_block(c, f"enc.blk.{i}.", gate, False)
        if i == 0: c.add("enc.blk.0.attn_rel_b.weight", 8, H, scale=1.0)
    if arch == "t5":
        c.w.add_decoder_start_token_id(0)
        c.norm("dec.output_norm")
        for i in range(L):
            t5_block(c, f"dec.blk.{i}.", gate, True)
            if i == 0: c.add("dec.blk.0.attn_rel_b.weight", 8, H, scale=1.0)
        if not tied: c.matrix("output", E, V)
    c.close()


CASES = {
    "t5": lambda f, n: t5(f, n, "t5", True),
    "t5-tied": lambda f, n: t5(f, n, "t5", False, True),
    "t5encoder": lambda f, n: t5(f, n, "t5encoder", True),
    "t5encoder-plain": lambda f, n: t5(f, n, "t5encoder", False),
    "bert": lambda f, n: bert(f, n, "bert", plain, positions=True, classifier=head),
    "bert-fused": lambda f, n: bert(f, n, "bert", plain, positions=True, fused=True, types=False),
    "nomic-bert": lambda f, n: bert(f, n, "nomic-bert", gated, rope=True, fused=True, bias=False),
    "nomic-bert-moe": lambda f, n: bert(f, n, "nomic-bert-moe", experts, rope=True, fused=True),
    "jina-bert-v2": lambda f, n: bert(f, n, "jina-bert-v2", gated_bias, extra=jina_norms),
    "jina-bert-v2-fused": lambda f, n: bert(f, n, "jina-bert-v2", fused),
    "jina-bert-v2-plain": lambda f, n: bert(f, n, "jina-bert-v2", plain, classifier=lambda c: c.matrix("cls", E, 1, True)),
    "jina-bert-v3": lambda f, n: bert(f, n, "jina-bert-v3", plain, rope=True, fused=True),
    "modern-bert": lambda f, n: modern_bert(f, n, 8),
    "modern-bert-silu": lambda f, n: modern_bert(f, n, 0, "silu"),
    "eurobert": lambda f, n: decoder(f, n, "eurobert", gated, kv=2 * D),
    "neo-bert": lambda f, n: decoder(f, n, "neo-bert", fused_plain, norm="enc.output_norm", fused=True, classifier=head),
    "gemma-embedding": lambda f, n: gemma(f, n, False),
    "gemma-embedding-dense": lambda f, n: gemma(f, n, True),
    "llama-embed": lambda f, n: decoder(f, n, "llama-embed", gated, kv=2 * D),
}

os.makedirs(sys.argv[1], exist_ok=True)
for name in sys.argv[2:] or CASES:
    CASES[name](sys.argv[1], name)
