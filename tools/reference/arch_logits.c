/* arch_logits.c - the logits of llama.cpp for a file and a list of tokens, as the oracle of architectures.
 *
 * usage: arch_logits MODEL.gguf N_TOKENS SEED [encode | fused] > LOGITS
 *
 * Needs libllama and its llama.h, which are not part of this project. Tokens are (SEED + 1) * 7919 + i * 104729 + i * i * 31
 * modulo the vocabulary. All positions' logits come in one batch, float32, little-endian, after one line of text:
 * "n_tokens n_vocab". The cache is float32 and attention is not fused, so that nothing is rounded on the way;
 * "fused" is for architectures that look at chosen blocks of keys only where it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "llama.h"

static void quiet(enum ggml_log_level level, const char *text, void *user)
{
    (void)user;
    if (level >= GGML_LOG_LEVEL_ERROR)
        fputs(text, stderr);
}

static int fail(const char *what)
{
    fprintf(stderr, "arch_logits: %s\n", what);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return fail("usage: arch_logits MODEL.gguf N_TOKENS SEED [encode]");
    const int n = (int)strtol(argv[2], NULL, 10);
    const long long seed = strtoll(argv[3], NULL, 10);
    llama_log_set(quiet, NULL);
    llama_backend_init();
    struct llama_model_params mp = llama_model_default_params();
    struct llama_model *model = llama_model_load_from_file(argv[1], mp);
    if (!model)
        return fail("the model does not load");
    struct llama_context_params cp = llama_context_default_params();
    cp.n_ctx = 0;
    cp.n_batch = cp.n_ubatch = 512;
    cp.n_threads = cp.n_threads_batch = 2;
    cp.type_k = cp.type_v = GGML_TYPE_F32;
    cp.flash_attn_type = argc > 4 && strcmp(argv[4], "fused") == 0 ? LLAMA_FLASH_ATTN_TYPE_ENABLED
                                                                   : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    struct llama_context *ctx = llama_init_from_model(model, cp);
    if (!ctx)
        return fail("no context");
    const int n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
    struct llama_batch batch = llama_batch_init(n, 0, 1);
    for (long long i = 0; i < n; i++) {
        batch.token[i] = (llama_token)(((seed + 1) * 7919 + i * 104729 + i * i * 31) % n_vocab);
        batch.pos[i] = (llama_pos)i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = 1;
    }
    batch.n_tokens = n;
    if (argc > 4 && strcmp(argv[4], "encode") == 0 && llama_encode(ctx, batch))
        return fail("llama_encode");
    if (llama_decode(ctx, batch))
        return fail("llama_decode");
    printf("%d %d\n", n, n_vocab);
    for (int i = 0; i < n; i++)
        fwrite(llama_get_logits_ith(ctx, i), sizeof(float), (size_t)n_vocab, stdout);
    return 0;
}
