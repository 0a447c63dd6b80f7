/* fuzz_arch_file.c - any bytes as a description of an architecture; what is one is tried on a small model,
 * whose plan is recorded or refused. */
#include <stddef.h>
#include <stdint.h>

#include "../tests/gguf_builder.h"
#include "gguf/container.h"
#include "model/arch_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { EMBD = 32, HEADS = 4, FF = 64, VOCAB = 40 };

static void add_tensor(gguf_builder *b, const char *name, uint64_t n0, uint64_t n1)
{
    const uint64_t ne[3] = { n0, n1, 1 };
    gguf_add_tensor(b, name, PUNA_FORMAT_F32, n1 > 1 ? 2 : 1, ne, NULL, (size_t)(n0 * n1 * sizeof(float)));
}

/* A model of one layer under both the usual names and others. */
static void build(gguf_builder *b)
{
    static const struct {
        const char *name;
        uint64_t n0, n1;
    } tensors[] = { { "attn_norm.weight", EMBD, 1 },
                    { "attn_norm.bias", EMBD, 1 },
                    { "attn_q.weight", EMBD, EMBD },
                    { "attn_k.weight", EMBD, EMBD },
                    { "attn_v.weight", EMBD, EMBD },
                    { "attn_output.weight", EMBD, EMBD },
                    { "attn_q_norm.weight", EMBD / HEADS, 1 },
                    { "ffn_norm.weight", EMBD, 1 },
                    { "ffn_gate.weight", EMBD, FF },
                    { "ffn_up.weight", EMBD, FF },
                    { "ffn_down.weight", FF, EMBD } };
    char name[64];
    gguf_begin(b, 3);
    gguf_add_text(b, "general.architecture", "own");
    gguf_add_u32(b, "own.block_count", 1);
    gguf_add_u32(b, "own.embedding_length", EMBD);
    gguf_add_u32(b, "own.feed_forward_length", FF);
    gguf_add_u32(b, "own.context_length", 64);
    gguf_add_u32(b, "own.attention.head_count", HEADS);
    add_tensor(b, "token_embd.weight", EMBD, VOCAB);
    add_tensor(b, "output_norm.weight", EMBD, 1);
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        snprintf(name, sizeof name, "blk.0.%s", tensors[i].name);
        add_tensor(b, name, tensors[i].n0, tensors[i].n1);
    }
    gguf_finish(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static gguf_builder b;
    static puna_container *container;
    puna_arena arena = { 0 };
    const puna_arch *arch;
    const puna_toml *numbers;
    puna_network net;
    if (!container) {
        build(&b);
        if (puna_container_open_memory(&container, b.file.data, b.file.n, "small", NULL))
            return 0;
    }
    if (puna_arch_file_parse(&arch, &numbers, "fuzz", (const char *)data, size, &arena, NULL) == PUNA_OK &&
        puna_network_open_as(&net, container, arch, numbers, 0, NULL) == PUNA_OK)
        puna_network_close(&net);
    puna_arena_free(&arena);
    return 0;
}
