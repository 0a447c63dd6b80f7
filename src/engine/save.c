/* save.c - a session as bytes: a header, the tokens, the used blocks of every cache, the logits.
 * For the machine that wrote it: little-endian, and only for the same model and cache encoding. */
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

typedef struct save_header {
    char magic[8];
    char fingerprint[16];
    uint32_t kv_format, n_tokens, n_logits, n_output;
    uint64_t size_bytes; /* of everything, this header included */
} save_header;

static const char magic[8] = { 'P', 'U', 'N', 'A', 'S', 'E', 'S', '1' };

/* Where a walk over the payload stands. */
typedef struct cursor {
    unsigned char *at;
    size_t n_bytes;
} cursor;

typedef void visit_fn(cursor *c, void *memory, size_t n);

/* Visits every piece of a session's payload, in the order of the file. */
static void walk(puna_session *s, int32_t n_tokens, bool logits, cursor *c, visit_fn *visit)
{
    const puna_kv *kv = &s->scheduler->blocks.kv;
    int32_t n_blocks = puna_blocks_of(n_tokens);
    visit(c, s->tokens, (size_t)n_tokens * sizeof *s->tokens);
    for (int32_t i = 0; i < kv->n_caches; i++) {
        const puna_kv_cache *cache = &kv->caches[i];
        for (int32_t b = 0; b < n_blocks; b++)
            visit(c, cache->k + (size_t)s->blocks[b] * cache->k_block_bytes, cache->k_block_bytes);
        for (int32_t b = 0; b < n_blocks; b++)
            visit(c, cache->v + (size_t)s->blocks[b] * cache->v_block_bytes, cache->v_block_bytes);
    }
    if (s->slot >= 0)
        visit(c, kv->states + (size_t)s->slot * kv->slot_floats, kv->slot_floats * sizeof *kv->states);
    if (logits)
        visit(c, s->logits, (size_t)s->model->net.plan.n_output * sizeof *s->logits);
}

static void write_out(cursor *c, void *memory, size_t n)
{
    memcpy(c->at + c->n_bytes, memory, n);
    c->n_bytes += n;
}

static void read_in(cursor *c, void *memory, size_t n)
{
    memcpy(memory, c->at + c->n_bytes, n);
    c->n_bytes += n;
}

static size_t payload_bytes(const puna_session *s, int32_t n_tokens, bool logits)
{
    const puna_kv *kv = &s->scheduler->blocks.kv;
    size_t n = (size_t)n_tokens * sizeof *s->tokens, n_blocks = (size_t)puna_blocks_of(n_tokens);
    for (int32_t i = 0; i < kv->n_caches; i++)
        n += n_blocks * (kv->caches[i].k_block_bytes + kv->caches[i].v_block_bytes);
    n += s->slot >= 0 ? kv->slot_floats * sizeof *kv->states : 0;
    return n + (logits ? (size_t)s->model->net.plan.n_output * sizeof *s->logits : 0);
}

puna_status puna_session_save(const puna_session *session, void **data, size_t *size_bytes, puna_error *err)
{
    puna_session *s = (puna_session *)(uintptr_t)session; /* walk takes both directions; saving only reads */
    bool logits = session->n_tokens > 0 && session->n_logits == session->n_tokens;
    save_header header = { .kv_format = (uint32_t)s->scheduler->blocks.kv.format,
                           .n_tokens = (uint32_t)s->n_tokens,
                           .n_logits = logits,
                           .n_output = (uint32_t)s->model->net.plan.n_output };
    memcpy(header.magic, magic, sizeof magic);
    memcpy(header.fingerprint, s->model->fingerprint, sizeof header.fingerprint);
    header.size_bytes = sizeof header + payload_bytes(s, s->n_tokens, logits);
    *data = malloc((size_t)header.size_bytes);
    if (!*data)
        return puna_fail_memory(err, "saved session", (size_t)header.size_bytes);
    cursor c = { .at = *data };
    write_out(&c, &header, sizeof header);
    walk(s, s->n_tokens, logits, &c, write_out);
    *size_bytes = (size_t)header.size_bytes;
    return PUNA_OK;
}

static puna_status check_header(const puna_session *s, const save_header *h, size_t size_bytes, puna_error *err)
{
    if (memcmp(h->magic, magic, sizeof magic) != 0)
        return puna_fail(err, PUNA_ERR_FORMAT, "saved session: magic: got %.8s, expected %.8s", h->magic, magic);
    if (memcmp(h->fingerprint, s->model->fingerprint, sizeof h->fingerprint) != 0)
        return puna_fail(err, PUNA_ERR_FORMAT, "saved session: model: got %.16s, expected %.16s", h->fingerprint, s->model->fingerprint);
    if (h->n_output != (uint32_t)s->model->net.plan.n_output || h->n_logits > 1)
        return puna_fail(err, PUNA_ERR_FORMAT,
                         "saved session: logits: got %u of %u, expected at most 1 of %d", h->n_logits,
                         h->n_output, (int)s->model->net.plan.n_output);
    if (h->kv_format != (uint32_t)s->scheduler->blocks.kv.format)
        return puna_fail(err, PUNA_ERR_FORMAT, "saved session: kv_type: got encoding %u, expected %u", h->kv_format,
                         (unsigned)s->scheduler->blocks.kv.format);
    if (h->n_tokens > (uint32_t)s->scheduler->n_ctx)
        return puna_fail(err, PUNA_ERR_CONTEXT, "saved session: got %u tokens, expected at most %d", h->n_tokens,
                         (int)s->scheduler->n_ctx);
    size_t want = sizeof *h + payload_bytes(s, (int32_t)h->n_tokens, h->n_logits != 0);
    if (h->size_bytes != want || size_bytes != want)
        return puna_fail(err, PUNA_ERR_FORMAT, "saved session: size: got %zu bytes, expected %zu", size_bytes, want);
    return PUNA_OK;
}

/* Payload to a session that has blocks for it. */
static puna_status read_payload(puna_session *s, const save_header *h, const void *data, puna_error *err)
{
    cursor c = { .at = (unsigned char *)(uintptr_t)data + sizeof *h }; /* only read */
    walk(s, (int32_t)h->n_tokens, h->n_logits != 0, &c, read_in);
    for (uint32_t i = 0; i < h->n_tokens; i++)
        if (s->tokens[i] < 0 || s->tokens[i] >= s->model->net.hp.n_vocab)
            return puna_fail(err, PUNA_ERR_FORMAT, "saved session: token %u: got %d, expected 0..%d", i, (int)s->tokens[i],
                             (int)s->model->net.hp.n_vocab - 1);
    s->n_tokens = (int32_t)h->n_tokens;
    s->n_encoded = puna_session_boundary(s, s->tokens, h->n_tokens);
    s->n_logits = h->n_logits ? s->n_tokens : 0;
    puna_session_checkpoint(s);
    return PUNA_OK;
}

puna_status puna_session_load(puna_session *s, const void *data, size_t size_bytes, puna_error *err)
{
    save_header header;
    puna_session_truncate(s, 0);
    if (size_bytes < sizeof header)
        return puna_fail(err, PUNA_ERR_FORMAT, "saved session: size: got %zu bytes, expected at least %zu", size_bytes, sizeof header);
    memcpy(&header, data, sizeof header);
    TRY(check_header(s, &header, size_bytes, err));
    TRY(puna_session_reserve(s, 0, (int32_t)header.n_tokens, err));
    puna_status status = read_payload(s, &header, data, err);
    if (status)
        puna_session_truncate(s, 0); /* states were read already */
    puna_session_trim(s);
    return status;
}
