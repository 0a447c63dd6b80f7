/* value.h - what a running template handles: values with Python's meaning. Private to chat/jinja.
 * Everything lives in the arena of the machine that made it (vm.h) and ends with it. */
#ifndef PUNA_CHAT_JINJA_VALUE_H
#define PUNA_CHAT_JINJA_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "chat/jinja/jinja.h"

typedef enum puna_jtype {
    PUNA_J_MISSING, /* an argument that was not given; templates never see it */
    PUNA_J_UNDEFINED,
    PUNA_J_NONE,
    PUNA_J_BOOL,
    PUNA_J_INT,
    PUNA_J_FLOAT,
    PUNA_J_STR,
    PUNA_J_LIST,
    PUNA_J_TUPLE,
    PUNA_J_DICT,
    PUNA_J_RANGE,
    PUNA_J_VIEW, /* dict.keys(), .values(), .items() */
    PUNA_J_ITER, /* generators: consumed once, always true, without a length */
    PUNA_J_NAMESPACE,
    PUNA_J_MACRO,
    PUNA_J_FUNCTION,
    PUNA_J_METHOD,
    PUNA_J_LOOP,
    PUNA_J_CYCLER,
    PUNA_J_JOINER
} puna_jtype;

/* Why a value is undefined; decides the message of the error that using it makes. */
enum { PUNA_J_NO_NAME, PUNA_J_NO_ATTRIBUTE, PUNA_J_NO_HINT, PUNA_J_UNSAFE };
enum { PUNA_J_KEYS, PUNA_J_VALUES, PUNA_J_ITEMS };

typedef struct puna_jstr {
    const char *data; /* UTF-8, not terminated */
    size_t n;         /* bytes */
    size_t n_chars;   /* code points; SIZE_MAX: not counted yet */
    uint32_t hash;    /* 0: not computed yet */
} puna_jstr;

typedef struct puna_jlist puna_jlist;
typedef struct puna_jdict puna_jdict;
typedef struct puna_jrange puna_jrange;
typedef struct puna_jiter puna_jiter;
typedef struct puna_jmacro puna_jmacro;
typedef struct puna_jmethod puna_jmethod;
typedef struct puna_jloop puna_jloop;
typedef struct puna_jcycler puna_jcycler;
typedef struct puna_jbuiltin puna_jbuiltin;
typedef struct puna_jnode puna_jnode;
typedef struct puna_jscope puna_jscope;
typedef struct puna_jvm puna_jvm;

typedef struct puna_jv {
    uint8_t type;
    uint8_t flag; /* STR: marked safe. UNDEFINED: why. VIEW: which. */
    uint8_t of;   /* UNDEFINED: type of the object that lacked the attribute */
    union {
        int64_t i; /* BOOL (0 or 1) and INT */
        double f;
        puna_jstr *s; /* STR; UNDEFINED: the name or the hint */
        puna_jlist *list;
        puna_jdict *dict; /* DICT, VIEW, NAMESPACE */
        puna_jrange *range;
        puna_jiter *iter;
        puna_jmacro *macro;
        const puna_jbuiltin *function;
        puna_jmethod *method;
        puna_jloop *loop;
        puna_jcycler *cycler; /* CYCLER, JOINER */
    } u;
} puna_jv;

struct puna_jlist {
    puna_jv *items;
    size_t n, capacity;
};

typedef struct puna_jentry {
    puna_jv key, value;
    uint32_t hash;
} puna_jentry;

struct puna_jdict {
    puna_jentry *entries; /* in order of insertion */
    size_t n, capacity;
    uint32_t *index; /* open addressing over entries, NULL while small; slot holds i + 1 */
    size_t index_size;
};

struct puna_jrange {
    int64_t start, stop, step;
    size_t n;
};

struct puna_jmethod {
    puna_jv self;
    const puna_jbuiltin *builtin;
};

struct puna_jcycler {
    puna_jlist *items; /* JOINER: one, the separator */
    size_t at;
};

/* One way to step through anything iterable. Filters such as map make lazy ones, whose errors
 * appear only when they are stepped. */
typedef puna_jv (*puna_jnext)(puna_jvm *vm, puna_jiter *iter);
struct puna_jiter {
    puna_jnext next;  /* returns MISSING at the end */
    puna_jv over;     /* the container, or what a filter was given */
    const char *name; /* Python's name of the kind, for messages */
    size_t at;
    bool done;
    /* for the lazy filters */
    puna_jiter *inner; /* NULL until the first step */
    const puna_jbuiltin *builtin;
    struct puna_jargs *args;
    puna_jv attribute, fallback;
    bool negated, by_attribute;
    int64_t size;
    puna_jv seen;
};

/* Arguments of a call, and after binding the parameters in order. */
enum { PUNA_J_MAX_PARAMS = 8 };
typedef struct puna_jargs {
    puna_jv *positional;
    size_t n;
    puna_jstr *const *names; /* of the keyword arguments */
    puna_jv *keywords;
    size_t n_keywords;
    puna_jv slot[PUNA_J_MAX_PARAMS]; /* MISSING where not given */
} puna_jargs;

/* A filter, test, method or global function. params names the parameters after the value itself,
 * separated by spaces, '?' behind the optional ones, "/ " in front when keywords do not name them;
 * "*" leaves binding to the function. */
typedef puna_jv (*puna_jfunction)(puna_jvm *vm, puna_jv self, puna_jargs *args);
struct puna_jbuiltin {
    const char *name;
    puna_jfunction call;
    const char *params;
};

struct puna_jmacro {
    const puna_jnode *node;
    puna_jscope *scope;    /* where it was defined */
    const puna_jstr *name; /* NULL: the body of a call block */
};

struct puna_jloop {
    const puna_jnode *node;
    puna_jscope *scope; /* the loop's surroundings */
    puna_jv over;
    puna_jiter *items;
    int64_t index0;
    int64_t length;                 /* -1: not known yet */
    puna_jv before, current, after; /* after: MISSING when not peeked */
    bool peeked;
    puna_jlist *changed;
    int64_t depth0;
    bool recursive;
};

/* ---- values (value.c) ---- */
static inline puna_jv puna_jv_of(puna_jtype type)
{
    return (puna_jv){ .type = (uint8_t)type };
}
static inline puna_jv puna_jv_bool(bool b)
{
    return (puna_jv){ .type = PUNA_J_BOOL, .u.i = b };
}
static inline puna_jv puna_jv_int(int64_t i)
{
    return (puna_jv){ .type = PUNA_J_INT, .u.i = i };
}
static inline puna_jv puna_jv_float(double f)
{
    return (puna_jv){ .type = PUNA_J_FLOAT, .u.f = f };
}
static inline bool puna_jv_is_string(puna_jv v)
{
    return v.type == PUNA_J_STR;
}
static inline bool puna_jv_is_integer(puna_jv v)
{
    return v.type == PUNA_J_INT || v.type == PUNA_J_BOOL;
}
static inline bool puna_jv_is_number(puna_jv v)
{
    return puna_jv_is_integer(v) || v.type == PUNA_J_FLOAT;
}
static inline double puna_jv_number(puna_jv v)
{
    return v.type == PUNA_J_FLOAT ? v.u.f : (double)v.u.i;
}

puna_jv puna_jv_text(puna_jvm *vm, const char *data, size_t n);   /* copies */
puna_jv puna_jv_borrow(puna_jvm *vm, const char *data, size_t n); /* data must outlive the machine */
puna_jv puna_jv_literal(puna_jvm *vm, const char *text);
puna_jv puna_jv_take(puna_jvm *vm, puna_buf *buf); /* copies the buffer's text and frees it */
puna_buf puna_jv_buf(puna_jvm *vm);                /* an empty buffer with the machine's output limit */
puna_jv puna_jv_concat(puna_jvm *vm, puna_jv a, puna_jv b); /* two strings */
puna_jv puna_jv_undefined(puna_jvm *vm, const char *hint);
puna_jv puna_jv_list(puna_jvm *vm, size_t capacity);
puna_jv puna_jv_tuple(puna_jvm *vm, size_t capacity);
puna_jv puna_jv_pair(puna_jvm *vm, puna_jv a, puna_jv b);
void puna_jv_append(puna_jvm *vm, puna_jv list, puna_jv item);
puna_jv puna_jv_dict(puna_jvm *vm);
void puna_jv_set(puna_jvm *vm, puna_jv dict, puna_jv key, puna_jv value);
puna_jv puna_jv_get(puna_jvm *vm, puna_jv dict, puna_jv key); /* MISSING when absent */
puna_jv puna_jv_from_json(puna_jvm *vm, const json_t *json);
size_t puna_jv_chars(puna_jv string); /* code points */
size_t puna_jv_byte_of(puna_jv string, size_t i_char);
uint32_t puna_jv_hash(puna_jvm *vm, puna_jv v, bool *hashable);

bool puna_jv_true(puna_jv v);
bool puna_jv_equal(puna_jvm *vm, puna_jv a, puna_jv b);
/* < 0, 0, > 0 as Python orders them; fails where Python raises. `op` is for the message. */
int puna_jv_compare(puna_jvm *vm, puna_jv a, puna_jv b, const char *op);
bool puna_jv_same(puna_jv a, puna_jv b); /* `is` */
bool puna_jv_contains(puna_jvm *vm, puna_jv container, puna_jv item);
int64_t puna_jv_length(puna_jv v); /* -1: has none */
const char *puna_jv_type_name(puna_jv v);
/* Fails with the message that using an undefined value gives; true when v was undefined. */
bool puna_jv_refuse_undefined(puna_jvm *vm, puna_jv v);

/* ---- iteration (iter.c) ---- */
puna_jiter *puna_jiter_new(puna_jvm *vm, puna_jv over); /* NULL after failing: not iterable */
puna_jiter *puna_jiter_make(puna_jvm *vm, puna_jnext next, puna_jv over, const char *name);
puna_jv puna_jiter_next(puna_jvm *vm, puna_jiter *iter);
puna_jv puna_jv_iterator(puna_jiter *iter);
bool puna_jv_is_iterable(puna_jv v);
puna_jv puna_jv_to_list(puna_jvm *vm, puna_jv over);
int64_t puna_jrange_at(const puna_jrange *range, size_t i);
puna_jv puna_jrange_new(puna_jvm *vm, int64_t start, int64_t stop, int64_t step);

/* ---- text of values (text.c) ---- */
puna_jv puna_jv_to_str(puna_jvm *vm, puna_jv v); /* str(v), as a string; strings stay themselves */
void puna_jv_write_str(puna_jvm *vm, puna_buf *out, puna_jv v);
void puna_jv_write_repr(puna_jvm *vm, puna_buf *out, puna_jv v);
void puna_jv_write_ascii(puna_jvm *vm, puna_buf *out, puna_jv v); /* ascii(v) */
void puna_jv_write_float(puna_buf *out, double f);
typedef struct puna_jjson {
    bool ensure_ascii, sort_keys, pretty;
    puna_jv indent; /* the text of one level, when pretty */
    puna_jv item_separator, key_separator;
} puna_jjson;
void puna_jv_write_json(puna_jvm *vm, puna_buf *out, puna_jv v, const puna_jjson *style, size_t level);
puna_jv puna_jv_escape(puna_jvm *vm, puna_jv v); /* HTML; the result is marked safe */
puna_jv puna_jv_soft_escape(puna_jvm *vm, puna_jv v, bool needed);

/* ---- operators (ops.c) ---- */
puna_jv puna_jv_binary(puna_jvm *vm, uint8_t op, puna_jv a, puna_jv b);
puna_jv puna_jv_negate(puna_jvm *vm, puna_jv v, bool minus);
puna_jv puna_jv_attribute(puna_jvm *vm, puna_jv v, puna_jv name); /* v.name */
puna_jv puna_jv_item(puna_jvm *vm, puna_jv v, puna_jv key);       /* v[key] */
puna_jv puna_jv_slice(puna_jvm *vm, puna_jv v, const puna_jv bound[3]);

/* ---- formatting (format.c) ---- */
puna_jv puna_jv_printf(puna_jvm *vm, puna_jv format, puna_jv values);
puna_jv puna_jv_format(puna_jvm *vm, puna_jv format, const puna_jargs *args);

#endif
