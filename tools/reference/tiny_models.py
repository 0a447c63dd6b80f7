#!/usr/bin/env python3
"""Tiny random models with the logits that `transformers` computes for them in float32.

usage: tiny_models.py OUT_FOLDER        needs: pip install torch transformers gguf numpy

For each case OUT/NAME.gguf (float32 weights) and one line in OUT/expected.txt:
  NAME n_tokens n_vocab tokens... logits of the last position... logits of the middle position..."""
import sys
import numpy as np
import torch
import gguf
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM
from transformers.models.gemma3 import Gemma3TextConfig, Gemma3ForCausalLM

OUT, N_VOCAB, N = sys.argv[1], 64, 40
COMMON = dict(vocab_size=N_VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=128, attn_implementation="eager", tie_word_embeddings=False)


def permuted(w, n_head):
    """Rotated pairs (i, i + half) of the checkpoint to the (2i, 2i + 1) that GGUF's llama has."""
    return w.reshape(n_head, 2, w.shape[0] // n_head // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def write(path, arch, model, keys, permute=False, plus_one=False, factors=None):
    w = gguf.GGUFWriter(path, arch)
    c = model.config
    w.add_name("tiny " + arch)
    w.add_context_length(c.max_position_embeddings); w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers); w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads); w.add_head_count_kv(c.num_key_value_heads)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    for key, value in keys.items():
        name = f"{arch}.{key}"
        if isinstance(value, str): w.add_string(name, value)
        elif isinstance(value, float): w.add_float32(name, value)
        else: w.add_uint32(name, value)
    w.add_tokenizer_model("llama")
    w.add_token_list([b"<unk>", b"<s>", b"</s>"] + [f"t{i}".encode() for i in range(3, N_VOCAB)])
    w.add_token_scores([0.0] * N_VOCAB); w.add_token_types([2, 3, 3] + [1] * (N_VOCAB - 3))
    w.add_bos_token_id(1); w.add_eos_token_id(2)
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
             "input_layernorm": "attn_norm", "post_feedforward_layernorm": "post_ffw_norm",
             "pre_feedforward_layernorm": "ffn_norm",
             "post_attention_layernorm": "post_attention_norm" if arch == "gemma3" else "ffn_norm"}
    for name, tensor in model.state_dict().items():
        t = tensor.float().numpy()
        name = name.removeprefix("model.")
        if name == "embed_tokens.weight": out = "token_embd.weight"
        elif name == "norm.weight": out = "output_norm.weight"
        elif name == "lm_head.weight": out = "output.weight"
        else:
            _, layer, rest = name.split(".", 2)
            part, kind = rest.rsplit(".", 1)
            out = f"blk.{layer}.{names[part]}.{kind}"
            if permute and part.endswith("q_proj"): t = permuted(t, c.num_attention_heads)
            if permute and part.endswith("k_proj"): t = permuted(t, c.num_key_value_heads)
        if plus_one and out.endswith("norm.weight"): t = t + 1
        if out == "output.weight" and c.tie_word_embeddings: continue
        w.add_tensor(out, np.ascontiguousarray(t, dtype=np.float32))
    if factors is not None: w.add_tensor("rope_freqs.weight", factors.astype(np.float32))
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()


def randomised(model, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.randn_like(p) * (0.3 if p.dim() > 1 else 0.2) + (1.0 if "norm" in name and seed < 40 else 0.0))
    return model.eval()


lines = []


def case(name, arch, model, keys, **how):
    tokens = [int(t) for t in np.random.default_rng(len(name)).integers(0, N_VOCAB, N)]
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0].float().numpy()
    write(f"{OUT}/{name}.gguf", arch, model, keys, **how)
    numbers = [*logits[-1], *logits[N // 2]]
    lines.append(" ".join([name, str(N), str(N_VOCAB), *map(str, tokens), *(f"{x:.7g}" for x in numbers)]))


m = randomised(Qwen2ForCausalLM(Qwen2Config(**COMMON, rope_parameters={"rope_type": "default", "rope_theta": 1e6})), 1)
case("qwen2", "qwen2", m, {"rope.freq_base": 1e6})
m = randomised(LlamaForCausalLM(LlamaConfig(**COMMON)), 2)
case("llama", "llama", m, {"rope.freq_base": 10000.0}, permute=True)
m = randomised(LlamaForCausalLM(LlamaConfig(**{**COMMON, "tie_word_embeddings": True}, head_dim=16)), 3)
case("llama-tied-wide", "llama", m, {"attention.key_length": 16, "attention.value_length": 16, "rope.dimension_count": 16}, permute=True)
scaled = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
m = randomised(LlamaForCausalLM(LlamaConfig(**COMMON, rope_parameters=scaled)), 4)
plain = 5e5 ** -(np.arange(0, 8, 2) / 8)
case("llama3-rope", "llama", m, {"rope.freq_base": 5e5}, permute=True, factors=plain / m.model.rotary_emb.inv_freq.numpy())
yarn = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32}
m = randomised(LlamaForCausalLM(LlamaConfig(**COMMON, rope_parameters=yarn)), 5)
case("llama-yarn", "llama", m, {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
                                "rope.scaling.original_context_length": 32}, permute=True)
linear = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
m = randomised(LlamaForCausalLM(LlamaConfig(**COMMON, rope_parameters=linear)), 6)
case("llama-linear", "llama", m, {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}, permute=True)
gem = {**COMMON, "num_hidden_layers": 7, "tie_word_embeddings": True, "num_key_value_heads": 1}
m = randomised(Gemma3ForCausalLM(Gemma3TextConfig(**gem, head_dim=16, query_pre_attn_scalar=16, sliding_window=8,
               rope_parameters={"sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                                "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0}})), 41)
case("gemma3", "gemma3", m, {"attention.key_length": 16, "attention.value_length": 16, "attention.sliding_window": 8,
                             "rope.freq_base": 1e6, "rope.scaling.type": "linear", "rope.scaling.factor": 8.0}, plus_one=True)
open(f"{OUT}/expected.txt", "w").write("\n".join(lines) + "\n")
