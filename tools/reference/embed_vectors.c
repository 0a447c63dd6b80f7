/* embed_vectors.c - the vectors of llama.cpp for a file and a list of tokens, as the oracle of encoders.
 *
 * usage: embed_vectors MODEL.gguf POOLING TOKEN... > VECTORS          POOLING: none, mean, cls, last, rank, or N
 *
 * With a number N in place of a pooling the first N tokens are encoded, the others decoded beside that (T5): logits.
 *
 * Needs libllama and its llama.h, which are not part of this project. Float32, little-endian, after one line of
 * text: "rows width"; with none a row for each token. The cache is float32 and attention is not fused. */
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
    fprintf(stderr, "embed_vectors: %s\n", what);
    return 1;
}

static enum llama_pooling_type pooling_of(const char *name)
{
    static const char *const names[] = { "none", "mean", "cls", "last", "rank" };
    for (int i = 0; i < 5; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum llama_pooling_type)i;
    return LLAMA_POOLING_TYPE_UNSPECIFIED;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return fail("usage: embed_vectors MODEL.gguf POOLING TOKEN...");
    const int n = argc - 3;
    const enum llama_pooling_type pooling = pooling_of(argv[2]);
    llama_log_set(quiet, NULL);
    llama_backend_init();
    struct llama_model *model = llama_model_load_from_file(argv[1], llama_model_default_params());
    if (!model)
        return fail("the model does not load");
    struct llama_context_params cp = llama_context_default_params();
    cp.n_ctx = 0;
    cp.n_batch = cp.n_ubatch = 512;
    cp.n_threads = cp.n_threads_batch = 2;
    cp.type_k = cp.type_v = GGML_TYPE_F32;
    cp.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    const int n_encoded = (int)strtol(argv[2], NULL, 10);
    cp.embeddings = n_encoded == 0;
    cp.pooling_type = n_encoded ? LLAMA_POOLING_TYPE_NONE : pooling;
    struct llama_context *ctx = llama_init_from_model(model, cp);
    if (!ctx)
        return fail("no context");
    struct llama_batch batch = llama_batch_init(n, 0, 1);
    for (int i = 0; i < n; i++) {
        batch.token[i] = (llama_token)strtol(argv[3 + i], NULL, 10);
        batch.pos[i] = i < n_encoded ? i : i - n_encoded;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = 1;
    }
    batch.n_tokens = n_encoded ? n_encoded : n;
    if (llama_encode(ctx, batch))
        return fail("llama_encode");
    if (n_encoded) {
        struct llama_batch rest = batch;
        const int n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
        rest.token += n_encoded;
        rest.pos += n_encoded;
        rest.n_tokens = n - n_encoded;
        if (llama_decode(ctx, rest))
            return fail("llama_decode");
        printf("%d %d\n", n - n_encoded, n_vocab);
        for (int i = 0; i < n - n_encoded; i++)
            fwrite(llama_get_logits_ith(ctx, i), sizeof(float), (size_t)n_vocab, stdout);
        return 0;
    }
    const int width = pooling == LLAMA_POOLING_TYPE_RANK ? (int)llama_model_n_cls_out(model) : llama_model_n_embd_out(model);
    const int rows = pooling == LLAMA_POOLING_TYPE_NONE ? n : 1;
    printf("%d %d\n", rows, width);
    for (int i = 0; i < rows; i++)
        fwrite(rows > 1 ? llama_get_embeddings_ith(ctx, i) : llama_get_embeddings_seq(ctx, 0), sizeof(float), (size_t)width, stdout);
    return 0;
}
