/* llama2c_read.c - the three files that llama2.c's export.py writes, seen as GGUF would show
 * them. Facts after Andrej Karpathy, llama2.c: export.py, run.c and runq.c.
 *   v0: seven int32 (dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len), then
 *       float32 tensors; a negative vocab_size means that the classifier has weights of its own.
 *   v1: "ak42" as a little-endian number, the version, the same seven, a byte that says whether
 *       the classifier is shared, zeros up to byte 256, then float32 tensors.
 *   v2: like v1, with an int32 group size after that byte. Norms are float32; every other tensor
 *       is int8 values followed by one float32 scale for each group, decoded here to float32.
 * Tensors of one role follow each other layer by layer, rows of input values, as in GGUF.
 * Refuses: any file whose size is not exactly what its header asks for. */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/limits.h"
#include "gguf/cursor.h"
#include "gguf/directory.h"

#define MAGIC 0x616b3432u

enum {
    HEADER_BYTES = 256,  /* of v1 and v2 */
    NAME_BYTES = 40,     /* "blk.4294967295.attn_output.weight" and its end */
    N_META = 12,
    META_BYTES = 256     /* of the encoded values, without general.name */
};

typedef struct config {
    uint32_t version;
    int32_t dim, hidden, n_layers, n_heads, n_kv_heads, n_vocab, n_context, group;
    bool shared; /* the classifier is the embedding */
} config;

typedef struct reader {
    puna_cursor in;
    config cfg;
    puna_directory *dir;
    const char *file;
    puna_error *err;
} reader;

typedef enum role {
    EMBEDDING, ATTN_NORM, ATTN_Q, ATTN_K, ATTN_V, ATTN_OUTPUT, FFN_NORM, FFN_GATE, FFN_DOWN, FFN_UP,
    OUTPUT_NORM, ROPE_TABLES, OUTPUT, N_ROLES
} role;

static const char *const role_names[N_ROLES] = {
    [EMBEDDING] = "token_embd", [ATTN_NORM] = "attn_norm", [ATTN_Q] = "attn_q", [ATTN_K] = "attn_k",
    [ATTN_V] = "attn_v", [ATTN_OUTPUT] = "attn_output", [FFN_NORM] = "ffn_norm",
    [FFN_GATE] = "ffn_gate", [FFN_DOWN] = "ffn_down", [FFN_UP] = "ffn_up",
    [OUTPUT_NORM] = "output_norm", [ROPE_TABLES] = "rope_tables", [OUTPUT] = "output"
};

static const role legacy_order[] = {
    EMBEDDING, ATTN_NORM, ATTN_Q, ATTN_K, ATTN_V, ATTN_OUTPUT, FFN_NORM, FFN_GATE, FFN_DOWN, FFN_UP,
    OUTPUT_NORM, ROPE_TABLES, OUTPUT
};

static const role order[] = {
    ATTN_NORM, FFN_NORM, OUTPUT_NORM, EMBEDDING, ATTN_Q, ATTN_K, ATTN_V, ATTN_OUTPUT, FFN_GATE,
    FFN_DOWN, FFN_UP, OUTPUT
};

static const role *order_of(const config *cfg, size_t *n)
{
    *n = cfg->version == 0 ? sizeof legacy_order / sizeof legacy_order[0] : sizeof order / sizeof order[0];
    return cfg->version == 0 ? legacy_order : order;
}

/* ---- Header ------------------------------------------------------------------------ */

static void read_sizes(puna_cursor *in, config *cfg)
{
    cfg->dim = (int32_t)puna_cursor_u32(in, "dim");
    cfg->hidden = (int32_t)puna_cursor_u32(in, "hidden_dim");
    cfg->n_layers = (int32_t)puna_cursor_u32(in, "n_layers");
    cfg->n_heads = (int32_t)puna_cursor_u32(in, "n_heads");
    cfg->n_kv_heads = (int32_t)puna_cursor_u32(in, "n_kv_heads");
    cfg->n_vocab = (int32_t)puna_cursor_u32(in, "vocab_size");
    cfg->n_context = (int32_t)puna_cursor_u32(in, "seq_len");
}

static puna_status refuse(const reader *r, const char *format, ...) PUNA_PRINTF(2, 3);
static puna_status refuse(const reader *r, const char *format, ...)
{
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return puna_fail(r->err, PUNA_ERR_FORMAT, "%.120s: %s", r->file, what);
}

static puna_status check_range(const reader *r, const char *field, int32_t value, int32_t max)
{
    if (value >= 1 && value <= max)
        return PUNA_OK;
    return refuse(r, "%s: got %" PRId32 ", expected 1 to %" PRId32, field, value, max);
}

static puna_status check_sizes(const reader *r)
{
    const config *cfg = &r->cfg;
    TRY(check_range(r, "dim", cfg->dim, INT32_MAX));
    TRY(check_range(r, "hidden_dim", cfg->hidden, INT32_MAX));
    TRY(check_range(r, "n_layers", cfg->n_layers, (int32_t)PUNA_MAX_LAYERS));
    TRY(check_range(r, "n_heads", cfg->n_heads, cfg->dim));
    TRY(check_range(r, "n_kv_heads", cfg->n_kv_heads, cfg->n_heads));
    TRY(check_range(r, "vocab_size", cfg->n_vocab, (int32_t)PUNA_MAX_VOCAB));
    TRY(check_range(r, "seq_len", cfg->n_context, PUNA_MAX_CONTEXT));
    if (cfg->dim % cfg->n_heads != 0 || cfg->dim / cfg->n_heads % 2 != 0)
        return refuse(r, "n_heads: got %" PRId32 " for dim %" PRId32 ", expected heads of a whole, even size",
                      cfg->n_heads, cfg->dim);
    if (cfg->n_heads % cfg->n_kv_heads != 0)
        return refuse(r, "n_kv_heads: got %" PRId32 ", expected a divisor of n_heads = %" PRId32,
                      cfg->n_kv_heads, cfg->n_heads);
    return PUNA_OK;
}

static void read_legacy(reader *r)
{
    read_sizes(&r->in, &r->cfg);
    r->cfg.shared = r->cfg.n_vocab > 0;
    if (r->cfg.n_vocab < 0 && r->cfg.n_vocab != INT32_MIN)
        r->cfg.n_vocab = -r->cfg.n_vocab;
}

bool puna_llama2c_starts(const puna_file *file)
{
    reader r = { .in = puna_cursor_make(file->data, file->size_bytes), .file = "" };
    if (file->size_bytes >= 4 && puna_load_u32(file->data) == MAGIC)
        return true;
    read_legacy(&r);
    return !r.in.failed && check_sizes(&r) == PUNA_OK;
}

static puna_status read_header(reader *r)
{
    config *cfg = &r->cfg;
    if (puna_load_u32(r->in.data) != MAGIC) {
        read_legacy(r);
        return check_sizes(r);
    }
    puna_cursor_u32(&r->in, "magic");
    cfg->version = puna_cursor_u32(&r->in, "version");
    if (!r->in.failed && cfg->version != 1 && cfg->version != 2)
        return refuse(r, "version: got %" PRIu32 ", expected 1 or 2", cfg->version);
    read_sizes(&r->in, cfg);
    uint8_t shared = puna_cursor_u8(&r->in, "shared_classifier");
    cfg->group = (int32_t)puna_cursor_u32(&r->in, "group_size");
    puna_cursor_bytes(&r->in, HEADER_BYTES - r->in.offset, "header");
    if (r->in.failed)
        return refuse(r, "%s: got a file of %zu bytes, expected at least %d", r->in.field, r->in.size_bytes,
                      HEADER_BYTES);
    TRY(check_sizes(r));
    if (shared > 1)
        return refuse(r, "shared_classifier: got %u, expected 0 or 1", shared);
    cfg->shared = shared == 1;
    return cfg->version == 2 ? check_range(r, "group_size", cfg->group, cfg->dim) : PUNA_OK;
}

/* ---- Sizes ------------------------------------------------------------------------- */

/* One tensor of a role: n_in values in each of n_out rows. */
static void shape_of(const config *cfg, role which, uint64_t *n_in, uint64_t *n_out)
{
    uint64_t dim = (uint64_t)cfg->dim, hidden = (uint64_t)cfg->hidden;
    uint64_t head = dim / (uint64_t)cfg->n_heads;
    *n_in = which == FFN_DOWN ? hidden : dim;
    switch (which) {
    case EMBEDDING:
    case OUTPUT:
        *n_out = (uint64_t)cfg->n_vocab;
        return;
    case ATTN_Q:
    case ATTN_OUTPUT:
    case FFN_DOWN:
        *n_out = dim;
        return;
    case ATTN_K:
    case ATTN_V:
        *n_out = head * (uint64_t)cfg->n_kv_heads;
        return;
    case FFN_GATE:
    case FFN_UP:
        *n_out = hidden;
        return;
    case ROPE_TABLES: /* cosines and sines, which nobody needs: half a head each, per position */
        *n_in = head;
        *n_out = (uint64_t)cfg->n_context;
        return;
    default:
        *n_out = 1;
        return;
    }
}

static bool is_norm(role which)
{
    return which == ATTN_NORM || which == FFN_NORM || which == OUTPUT_NORM;
}

static uint64_t n_of(const config *cfg, role which)
{
    if (which == EMBEDDING || which == OUTPUT_NORM || which == ROPE_TABLES)
        return 1;
    if (which == OUTPUT)
        return cfg->shared ? 0 : 1;
    return (uint64_t)cfg->n_layers;
}

static bool is_decoded(const config *cfg, role which)
{
    return cfg->version == 2 && !is_norm(which);
}

/* Bytes in the file of one tensor of n values. */
static uint64_t size_of(const config *cfg, role which, uint64_t n)
{
    return is_decoded(cfg, which) ? n + n / (uint64_t)cfg->group * 4 : n * 4;
}

/* Adds up what the header asks for and compares it with the file. The product of two sizes stays
 * below 2^62, so one tensor's values are counted exactly; everything after that is checked. */
static puna_status check_total(const reader *r, uint64_t *n_decoded)
{
    const config *cfg = &r->cfg;
    size_t n_roles;
    const role *roles = order_of(cfg, &n_roles);
    uint64_t total = r->in.offset, left = r->in.size_bytes;
    *n_decoded = 0;
    for (size_t i = 0; i < n_roles; i++) {
        uint64_t n_in, n_out, all, n_tensors = n_of(cfg, roles[i]);
        shape_of(cfg, roles[i], &n_in, &n_out);
        uint64_t n = n_in * n_out;
        if (is_decoded(cfg, roles[i]) && n % (uint64_t)cfg->group != 0)
            return refuse(r, "group_size: got %" PRId32 ", expected a divisor of %" PRIu64 " (values of %s)",
                          cfg->group, n, role_names[roles[i]]);
        /* A tensor larger than the file is refused first: below, nothing is larger. */
        if (n > left || !puna_mul_u64(size_of(cfg, roles[i], n), n_tensors, &all) ||
            !puna_add_u64(total, all, &total))
            return refuse(r, "file size: got %zu bytes, expected at least %" PRIu64 " for %s",
                          r->in.size_bytes, n, role_names[roles[i]]);
        if (is_decoded(cfg, roles[i]))
            *n_decoded += n * n_tensors;
    }
    if (total != r->in.size_bytes)
        return refuse(r, "file size: got %zu bytes, expected %" PRIu64 " (llama2.c v%" PRIu32 ", dim %" PRId32
                      ", %" PRId32 " layers, vocabulary %" PRId32 ")", r->in.size_bytes, total, cfg->version,
                      cfg->dim, cfg->n_layers, cfg->n_vocab);
    return PUNA_OK;
}

/* ---- Tensors ----------------------------------------------------------------------- */

/* int8 values, then their groups' scales, to n values of float32. */
static void decode(float *out, const unsigned char *values, uint64_t n, uint64_t group)
{
    const unsigned char *scales = values + n;
    for (uint64_t i = 0; i < n / group; i++) {
        uint32_t bits = puna_load_u32(scales + 4 * i);
        float scale;
        memcpy(&scale, &bits, sizeof scale);
        for (uint64_t k = 0; k < group; k++)
            out[i * group + k] = (float)(int8_t)values[i * group + k] * scale;
    }
}

static void name_tensor(char *name, role which, uint32_t layer)
{
    if (which == EMBEDDING || which == OUTPUT_NORM || which == OUTPUT)
        snprintf(name, NAME_BYTES, "%s.weight", role_names[which]);
    else
        snprintf(name, NAME_BYTES, "blk.%" PRIu32 ".%s.weight", layer, role_names[which]);
}

/* Takes the next tensor of the file; *decoded moves past the values that had to be decoded. */
static void add_tensor(reader *r, role which, uint32_t layer, float **decoded)
{
    puna_directory *dir = r->dir;
    puna_tensor *t = &dir->tensors[dir->n_tensors];
    char *name = dir->name_text + dir->n_tensors * NAME_BYTES;
    uint64_t n_in, n_out;
    shape_of(&r->cfg, which, &n_in, &n_out);
    uint64_t n = n_in * n_out;
    const unsigned char *bytes = puna_cursor_bytes(&r->in, size_of(&r->cfg, which, n), "tensor");
    assert(bytes);
    name_tensor(name, which, layer);
    *t = (puna_tensor){
        .name = name, .format = puna_format_find("f32"), .n_dims = is_norm(which) ? 1 : 2,
        .ne = { n_in, n_out, 1, 1 }, .data = bytes, .size_bytes = n * 4
    };
    dir->n_tensors++;
    if (is_decoded(&r->cfg, which)) {
        decode(*decoded, bytes, n, (uint64_t)r->cfg.group);
        t->data = *decoded;
        *decoded += n;
    }
}

static puna_status read_tensors(reader *r, uint64_t n_decoded)
{
    puna_directory *dir = r->dir;
    const config *cfg = &r->cfg;
    size_t n_roles, n_tensors = 9 * (size_t)cfg->n_layers + (cfg->shared ? 2 : 3);
    const role *roles = order_of(cfg, &n_roles);
    dir->tensors = calloc(n_tensors, sizeof *dir->tensors);
    dir->name_text = calloc(n_tensors, NAME_BYTES);
    if (!dir->tensors || !dir->name_text)
        return puna_fail_memory(r->err, "tensors", n_tensors * (sizeof *dir->tensors + NAME_BYTES));
    if (n_decoded) {
        /* Each value stands in the file as a byte, so this is below four times its size. */
        dir->decoded = malloc((size_t)n_decoded * sizeof(float));
        if (!dir->decoded)
            return puna_fail_memory(r->err, "decoded tensors", (size_t)n_decoded * sizeof(float));
    }
    float *decoded = dir->decoded;
    for (size_t i = 0; i < n_roles; i++) {
        if (roles[i] == ROPE_TABLES) {
            uint64_t n_in, n_out;
            shape_of(cfg, ROPE_TABLES, &n_in, &n_out);
            puna_cursor_bytes(&r->in, n_in * n_out * 4, "rope tables");
            continue;
        }
        for (uint32_t layer = 0; layer < n_of(cfg, roles[i]); layer++)
            add_tensor(r, roles[i], layer, &decoded);
    }
    return PUNA_OK;
}

/* ---- Metadata ---------------------------------------------------------------------- */

/* Appends a key whose value, already at *at, takes size_bytes there, encoded as in GGUF. */
static void add_meta(puna_directory *dir, unsigned char **at, const char *key, puna_meta_type type,
                     size_t size_bytes)
{
    assert(dir->n_meta < N_META);
    dir->meta[dir->n_meta++] = (puna_meta){
        .key = key, .type = type, .element = type, .n = 1, .data = *at, .size_bytes = size_bytes
    };
    *at += size_bytes;
}

static void put_number(unsigned char *at, uint64_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static void add_u32(puna_directory *dir, unsigned char **at, const char *key, uint32_t value)
{
    put_number(*at, value, 4);
    add_meta(dir, at, key, PUNA_META_U32, 4);
}

static void add_f32(puna_directory *dir, unsigned char **at, const char *key, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_number(*at, bits, 4);
    add_meta(dir, at, key, PUNA_META_F32, 4);
}

static void add_text(puna_directory *dir, unsigned char **at, const char *key, const char *text, size_t n)
{
    put_number(*at, n, 8);
    memcpy(*at + 8, text, n);
    add_meta(dir, at, key, PUNA_META_STRING, 8 + n);
}

static puna_status make_metadata(reader *r)
{
    puna_directory *dir = r->dir;
    const config *cfg = &r->cfg;
    size_t n_name = strlen(r->file);
    if (n_name > 4 && strcmp(r->file + n_name - 4, ".bin") == 0)
        n_name -= 4;
    dir->meta = calloc(N_META, sizeof *dir->meta);
    dir->meta_bytes = malloc(META_BYTES + n_name);
    if (!dir->meta || !dir->meta_bytes)
        return puna_fail_memory(r->err, "metadata", META_BYTES + n_name);
    unsigned char *at = (unsigned char *)dir->meta_bytes;
    const struct {
        const char *key;
        int32_t value;
    } sizes[] = {
        { "llama.context_length", cfg->n_context },
        { "llama.embedding_length", cfg->dim },
        { "llama.feed_forward_length", cfg->hidden },
        { "llama.block_count", cfg->n_layers },
        { "llama.attention.head_count", cfg->n_heads },
        { "llama.attention.head_count_kv", cfg->n_kv_heads },
        { "llama.rope.dimension_count", cfg->dim / cfg->n_heads },
        { "llama.vocab_size", cfg->n_vocab },
    };
    add_text(dir, &at, "general.architecture", "llama", 5);
    add_text(dir, &at, "general.name", r->file, n_name);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        add_u32(dir, &at, sizes[i].key, (uint32_t)sizes[i].value);
    add_f32(dir, &at, "llama.rope.freq_base", 10000.0f);
    add_f32(dir, &at, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    return puna_directory_index(dir, r->file, r->err);
}

puna_status puna_llama2c_read(puna_directory *dir, const puna_file *file, const char *name, puna_error *err)
{
    reader r = {
        .in = puna_cursor_make(file->data, file->size_bytes), .dir = dir, .file = name, .err = err
    };
    uint64_t n_decoded;
    TRY(read_header(&r));
    TRY(check_total(&r, &n_decoded));
    snprintf(dir->kind, sizeof dir->kind, "llama2.c v%" PRIu32, r.cfg.version);
    TRY(make_metadata(&r));
    return read_tensors(&r, n_decoded);
}
