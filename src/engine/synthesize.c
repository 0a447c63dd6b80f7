/* synthesize.c - puna_synthesize: a recipe to the bytes of a file. */
#include "engine/engine.h"
#include "model/synthetic.h"

typedef struct receiver {
    puna_bytes_fn *each;
    void *user;
    uint64_t size_bytes; /* known before the first bytes come */
} receiver;

static puna_status receive(void *user, const void *bytes, size_t n, puna_error *err)
{
    receiver *r = user;
    if (r->each(r->user, bytes, n, r->size_bytes))
        return puna_fail(err, PUNA_ERR_INTERRUPTED, "synthetic model: interrupted");
    return PUNA_OK;
}

puna_status puna_synthesize(const char *recipe, puna_bytes_fn *each, void *user, puna_error *err)
{
    receiver r = { .each = each, .user = user };
    return puna_synthetic_write(recipe, receive, &r, &r.size_bytes, err);
}
