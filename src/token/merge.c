/* merge.c - byte pair encoding: the neighbours with the best rank are merged until none is
 * left. BPE ranks pairs by its list of merges, SPM by the score of the entry they make.
 * A heap of candidate pairs makes a word of n characters O(n log n). */
#include <stdlib.h>

#include "base/checked.h"
#include "base/utf8.h"
#include "token/internal.h"

static void heap_push(puna_encoder *e, puna_pair pair)
{
    if (!puna_encoder_room(e, &e->heap, &e->heap_capacity, e->n_heap + 1, sizeof *e->heap))
        return;
    size_t at = e->n_heap++;
    for (; at > 0 && pair.key < e->heap[(at - 1) / 2].key; at = (at - 1) / 2)
        e->heap[at] = e->heap[(at - 1) / 2];
    e->heap[at] = pair;
}

static puna_pair heap_pop(puna_encoder *e)
{
    puna_pair top = e->heap[0], last = e->heap[--e->n_heap];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < e->n_heap; at = child) {
        if (child + 1 < e->n_heap && e->heap[child + 1].key < e->heap[child].key)
            child++;
        if (last.key <= e->heap[child].key)
            break;
        e->heap[at] = e->heap[child];
    }
    e->heap[at] = last;
    return top;
}

/* Scores in descending order as ascending integers. */
static uint32_t score_rank(float score)
{
    uint32_t bits;
    score += 0.0f; /* -0 becomes 0 */
    memcpy(&bits, &score, sizeof bits);
    return ~(bits & 0x80000000u ? ~bits : bits | 0x80000000u);
}

static bool from_text(const puna_token *token)
{
    return !(token->flags & PUNA_FLAG_ADDED) &&
           (token->type == PUNA_TOKEN_NORMAL || token->type == PUNA_TOKEN_USER ||
            token->type == PUNA_TOKEN_UNUSED);
}

/* The rank of merging two neighbours, UINT32_MAX when they do not merge. */
static uint32_t pair_rank(const puna_vocab *v, const char *word, const puna_symbol *left,
                          const puna_symbol *right)
{
    if (left->frozen || right->frozen)
        return UINT32_MAX;
    const char *text = word + left->start;
    if (v->model == PUNA_MODEL_BPE && !v->by_rank)
        return puna_merges_find(&v->merges, text, left->n, left->hash, word + right->start, right->n,
                                right->hash);
    size_t n = (size_t)left->n + right->n;
    if (n > v->max_token_bytes)
        return UINT32_MAX;
    int32_t id = puna_index_find(&v->index, text, n, puna_text_hash(text, n));
    if (id < 0 || !from_text(&v->tokens[id]))
        return UINT32_MAX;
    return v->by_rank ? (uint32_t)id : score_rank(v->tokens[id].score);
}

static void consider(puna_encoder *e, const char *word, int32_t left, int32_t right)
{
    if (left < 0 || right < 0)
        return;
    const puna_symbol *l = &e->symbols[left], *r = &e->symbols[right];
    uint32_t rank = pair_rank(e->vocab, word, l, r);
    if (rank != UINT32_MAX)
        heap_push(e, (puna_pair){ (uint64_t)rank << 32 | (uint32_t)left, (uint32_t)right, l->n + r->n });
}

/* One symbol per code point, or byte, or per user-defined token. Returns how many; 0 on failure. */
static size_t symbols_from(puna_encoder *e, const char *word, size_t n)
{
    const puna_vocab *v = e->vocab;
    size_t count = 0, suffix = v->word_suffix ? strlen(v->word_suffix) : 0;
    for (size_t at = 0; at < n; count++) {
        if (!puna_encoder_room(e, &e->symbols, &e->symbols_capacity, count + 1, sizeof *e->symbols))
            return 0;
        int32_t code, id;
        size_t length = v->user_in_model ? puna_trie_longest(&v->user_trie, word + at, n - at, &id) : 0;
        bool frozen = length > 0;
        if (v->by_rank)
            length = 1;
        else if (!frozen)
            length = (size_t)puna_utf8_decode(word + at, n - at, &code);
        if (at + length + suffix == n) /* the mark of the word's end belongs to its last character */
            length += suffix;
        e->symbols[count] = (puna_symbol){
            .start = (uint32_t)at,
            .n = (uint32_t)length,
            .frozen = frozen,
            .prev = (int32_t)count - 1,
            .next = at + length < n ? (int32_t)count + 1 : -1,
            .hash = (uint32_t)puna_text_hash(word + at, length),
        };
        at += length;
    }
    return count;
}

static void merge_all(puna_encoder *e, const char *word)
{
    while (e->n_heap > 0 && !e->failed) {
        puna_pair best = heap_pop(e);
        int32_t at = (int32_t)(uint32_t)best.key;
        puna_symbol *left = &e->symbols[at], *right = &e->symbols[best.right];
        if (!left->n || !right->n || left->n + right->n != best.n || left->next != (int32_t)best.right)
            continue; /* one of the two was merged since */
        left->n = best.n;
        left->hash = (uint32_t)puna_text_hash(word + left->start, left->n);
        left->next = right->next;
        right->n = 0;
        if (left->next >= 0)
            e->symbols[left->next].prev = at;
        consider(e, word, left->prev, at);
        consider(e, word, at, left->next);
    }
}

void puna_merge_word(puna_encoder *e, const char *word, size_t n)
{
    const puna_vocab *v = e->vocab;
    if (v->ignore_merges || (v->newlines_whole && *word == '\n')) {
        int32_t id = puna_index_find(&v->index, word, n, puna_text_hash(word, n));
        if (id >= 0 && from_text(&v->tokens[id])) {
            puna_ids_add(&e->ids, id);
            return;
        }
    }
    size_t count = symbols_from(e, word, n);
    e->n_heap = 0;
    for (size_t i = 1; i < count; i++)
        consider(e, word, (int32_t)i - 1, (int32_t)i);
    merge_all(e, word);
    if (e->failed || !count)
        return;
    for (int32_t i = 0; i >= 0; i = e->symbols[i].next) {
        const char *text = word + e->symbols[i].start;
        size_t length = e->symbols[i].n;
        int32_t id = puna_index_find(&v->index, text, length, puna_text_hash(text, length));
        if (id >= 0 && from_text(&v->tokens[id]))
            puna_ids_add(&e->ids, id);
        else
            puna_unknown_add(e, text, length);
    }
}
