/* unigram.c - the models over a trie of entries: Unigram's most probable way to cut a text
 * (Viterbi over byte positions, as in Kudo 2018), PLaMo-2's, WordPiece's and RWKV's longest match first. */
#include <math.h>

#include "base/utf8.h"
#include "token/internal.h"

/* The best way to reach a position. */
typedef struct node {
    double score;
    int32_t id;    /* the last token; -1: unknown */
    uint32_t from; /* where it starts */
    bool reached;
} node;

/* What an unknown character costs below the worst entry. */
static const double unknown_penalty = 10.0;

static double add_scores(const puna_vocab *v, double a, double b)
{
    return v->score_float ? (double)((float)a + (float)b) : a + b;
}

static void reach(node *to, double score, int32_t id, size_t from)
{
    if (!to->reached || score > to->score)
        *to = (node){ score, id, (uint32_t)from, true };
}

/* User-defined tokens win over what could be cut out of them. */
static double token_score(const puna_vocab *v, int32_t id, size_t n)
{
    if (v->tokens[id].type != PUNA_TOKEN_USER)
        return v->scores ? v->scores[id] : (double)v->tokens[id].score;
    return v->score_float ? (double)(float)((double)((float)n * v->max_score) - 0.1) : 0.0;
}

static void forward(const puna_vocab *v, node *nodes, const char *word, size_t n)
{
    double unknown = add_scores(v, v->min_score, -unknown_penalty);
    for (size_t at = 0; at < n;) {
        int32_t code;
        size_t length = (size_t)puna_utf8_decode(word + at, n - at, &code);
        bool single = false;
        uint32_t state = 0;
        for (size_t end = at; end < n;) {
            state = puna_trie_next(&v->pieces, state, (unsigned char)word[end++]);
            if (!state)
                break;
            int32_t id = v->pieces.values[state];
            if (id < 0)
                continue;
            single |= end - at == length;
            reach(&nodes[end], add_scores(v, nodes[at].score, token_score(v, id, end - at)), id, at);
        }
        if (!single)
            reach(&nodes[at + length], add_scores(v, nodes[at].score, unknown), -1, at);
        at += length;
    }
}

void puna_unigram_word(puna_encoder *e, const char *word, size_t n)
{
    if (!puna_encoder_room(e, &e->lattice, &e->lattice_capacity, n + 1, sizeof(node)))
        return;
    node *nodes = e->lattice;
    memset(nodes, 0, (n + 1) * sizeof *nodes);
    nodes[0].reached = true;
    forward(e->vocab, nodes, word, n);
    /* Walk back, turning the links around, then forward. */
    size_t next = n;
    for (size_t at = n; at > 0;) {
        size_t from = nodes[at].from;
        nodes[at].from = (uint32_t)next;
        next = at;
        at = from;
    }
    for (size_t at = 0, end = next; at < n;) {
        if (nodes[end].id >= 0)
            puna_ids_add(&e->ids, nodes[end].id);
        else
            puna_unknown_add(e, word + at, end - at);
        at = end;
        end = nodes[end].from;
    }
}

/* ---- WordPiece --------------------------------------------------------------------------- */

static size_t count_chars(const char *word, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)word[i] & 0xc0) != 0x80;
    return count;
}

/* The trie node behind a mark, or UINT32_MAX when no entry starts with it. */
static uint32_t node_behind(const puna_trie *trie, const char *mark)
{
    uint32_t state = 0;
    for (; mark && *mark; mark++)
        if (!(state = puna_trie_next(trie, state, (unsigned char)*mark)))
            return UINT32_MAX;
    return state;
}

/* The longest entry from `state` on; its length in text, 0 when none. */
static size_t longest_from(const puna_trie *trie, uint32_t state, const char *text, size_t n, int32_t *id)
{
    size_t longest = 0;
    for (size_t i = 0; i < n && state != UINT32_MAX; i++) {
        state = puna_trie_next(trie, state, (unsigned char)text[i]);
        if (!state)
            break;
        if (trie->values[state] >= 0) {
            longest = i + 1;
            *id = trie->values[state];
        }
    }
    return longest;
}

void puna_wordpiece_word(puna_encoder *e, const char *word, size_t n)
{
    const puna_vocab *v = e->vocab;
    size_t begin = e->ids.n;
    uint32_t first = node_behind(&v->pieces, v->word_start_marked ? PUNA_SPACE_MARK : NULL);
    uint32_t inside = node_behind(&v->pieces, v->continuing);
    bool whole = !v->max_word_chars || count_chars(word, n) <= v->max_word_chars;
    for (size_t at = 0; whole && at < n;) {
        int32_t id;
        /* A space mark written in the text is not the mark of a word's start. */
        bool mark = v->word_start_marked && n - at >= 3 && memcmp(word + at, PUNA_SPACE_MARK, 3) == 0;
        size_t length = mark ? 0 : longest_from(&v->pieces, at ? inside : first, word + at, n - at, &id);
        if (!length || (v->whole_words && length != n))
            whole = false;
        else
            puna_ids_add(&e->ids, id);
        at += length;
    }
    if (whole)
        return;
    e->ids.n = begin;
    if (v->special[PUNA_VOCAB_UNK] >= 0)
        puna_ids_add(&e->ids, v->special[PUNA_VOCAB_UNK]);
}

/* ---- RWKV -------------------------------------------------------------------------------- */

void puna_greedy_word(puna_encoder *e, const char *word, size_t n)
{
    for (size_t at = 0, length; at < n && !e->ids.failed; at += length) {
        int32_t id;
        length = longest_from(&e->vocab->pieces, 0, word + at, n - at, &id);
        if (length) {
            puna_ids_add(&e->ids, id);
        } else {
            length = 1;
            puna_unknown_add(e, word + at, 1);
        }
    }
}

/* ---- PLaMo-2 ----------------------------------------------------------------------------- */

/* The least cost of the text from a position on, and its first token. */
typedef struct cost_node {
    int64_t cost;
    int32_t id; /* -1: unknown */
    uint32_t length;
    bool starts; /* a character starts here */
} cost_node;

static const int64_t unknown_cost = 10000000;

/* Of equal costs the longer entry counts. */
static void cheapest(const puna_vocab *v, cost_node *nodes, const char *word, size_t n, size_t at)
{
    int32_t code;
    uint32_t state = 0, length = (uint32_t)puna_utf8_decode(word + at, n - at, &code);
    cost_node best = { nodes[at + length].cost + unknown_cost, -1, length, true };
    for (size_t end = at;
         end < n && (state = puna_trie_next(&v->pieces, state, (unsigned char)word[end++]));) {
        int32_t id = v->pieces.values[state];
        if (id < 0 || (end < n && !nodes[end].starts))
            continue;
        int64_t cost = nodes[end].cost - llround((double)v->tokens[id].score * 1e4);
        if (cost <= best.cost)
            best = (cost_node){ cost, id, (uint32_t)(end - at), true };
    }
    nodes[at] = best;
}

void puna_plamo2_word(puna_encoder *e, const char *word, size_t n)
{
    cost_node *nodes;
    if (!puna_encoder_room(e, &e->lattice, &e->lattice_capacity, n + 1, sizeof *nodes))
        return;
    nodes = e->lattice;
    memset(nodes, 0, (n + 1) * sizeof *nodes);
    int32_t code;
    for (size_t at = 0; at < n; at += (size_t)puna_utf8_decode(word + at, n - at, &code))
        nodes[at].starts = true;
    for (size_t at = n; at-- > 0;)
        if (nodes[at].starts)
            cheapest(e->vocab, nodes, word, n, at);
    for (size_t at = 0; at < n && !e->ids.failed; at += nodes[at].length)
        if (nodes[at].id >= 0)
            puna_ids_add(&e->ids, nodes[at].id);
        else
            puna_unknown_add(e, word + at, nodes[at].length);
}
