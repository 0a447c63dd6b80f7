#!/usr/bin/env python3
"""Writes the seeds of fuzz_model: one tiny random model for each architecture, each quantised otherwise.

usage: model_seeds.py OUT_FOLDER        needs: pip install gguf numpy"""
import gguf, numpy as np, sys
def mk(path, arch, D=32, H=2, F=32, V=16, L=1, typ=None, norms=()):
    w=gguf.GGUFWriter(path, arch); w.add_block_count(L); w.add_embedding_length(D); w.add_context_length(32); w.add_feed_forward_length(F); w.add_head_count(H); w.add_head_count_kv(1)
    w.add_layer_norm_rms_eps(1e-5)
    if arch=='gemma3': w.add_sliding_window(8)
    w.add_tokenizer_model('llama'); w.add_token_list([b'<unk>',b'<s>',b'</s>']+[bytes([97+i]) for i in range(V-3)]); w.add_token_scores([0.0]*V); w.add_token_types([2,3,3]+[1]*(V-3))
    w.add_chat_template("{% for m in messages %}{{ m.role }}:{{ m.content }}{% endfor %}")
    r=np.random.default_rng(1)
    def t(n,*s): 
        a=r.standard_normal(s).astype(np.float32)*0.2
        if typ and len(s)==2: w.add_tensor(n, gguf.quants.quantize(a,typ), raw_dtype=typ)
        else: w.add_tensor(n,a)
    t('token_embd.weight',V,D); t('output_norm.weight',D)
    hd=D//H
    for l in range(L):
        b=f'blk.{l}.'
        t(b+'attn_norm.weight',D);t(b+'ffn_norm.weight',D);t(b+'attn_q.weight',D,D);t(b+'attn_k.weight',hd,D);t(b+'attn_v.weight',hd,D);t(b+'attn_output.weight',D,D);t(b+'ffn_gate.weight',F,D);t(b+'ffn_up.weight',F,D);t(b+'ffn_down.weight',D,F)
        if arch=='gemma3':
            for n,s in (('attn_q_norm',hd),('attn_k_norm',hd),('post_attention_norm',D),('post_ffw_norm',D)): t(b+n+'.weight',s)
        if arch=='qwen2':
            t(b+'attn_q.bias',D);t(b+'attn_k.bias',hd);t(b+'attn_v.bias',hd)
    w.write_header_to_file();w.write_kv_data_to_file();w.write_tensors_to_file();w.close()
G=gguf.GGMLQuantizationType
o=sys.argv[1]
mk(o+'/llama-q4_0.gguf','llama',typ=G.Q4_0); mk(o+'/qwen2-q8_0.gguf','qwen2',typ=G.Q8_0); mk(o+'/gemma3-q4_1.gguf','gemma3',typ=G.Q4_1)
