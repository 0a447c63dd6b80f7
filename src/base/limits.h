/* limits.h - the maximum of everything that grows, each with the reason for the number.
 * A file or a request that wants more is refused with a message that names the limit. */
#ifndef PUNA_BASE_LIMITS_H
#define PUNA_BASE_LIMITS_H

#define PUNA_MAX_TENSORS (1u << 18)       /* the largest sharded MoE files have about 100,000 */
#define PUNA_MAX_METADATA (1u << 16)      /* real files have under 100 keys */
#define PUNA_MAX_NAME_BYTES 1024u         /* GGUF keys and tensor names; real ones are < 128 */
#define PUNA_MAX_DIMS 4u                  /* GGUF's own limit */
#define PUNA_MAX_ALIGNMENT (1u << 20)     /* real files use 32 to 65,536 */
#define PUNA_MAX_SPLIT_FILES 1024u        /* the largest published split has under 200 parts */
#define PUNA_MAX_VOCAB (1u << 22)         /* 262,144 is the largest in use: 16 times that */
#define PUNA_MAX_TOKEN_BYTES (1u << 16)   /* one vocabulary entry; real ones are < 1,024 */
#define PUNA_MAX_LAYERS 4096u             /* 126 is the most in use */
#define PUNA_MAX_CONTEXT (1 << 24)        /* 16 Mi tokens: more than any model was trained for */
#define PUNA_MAX_THREADS 256              /* beyond, one socket's memory limits everything */
#define PUNA_MAX_PROCESSORS      1024             /* numbers of processors looked at: what cpu_set_t holds */
#define PUNA_MAX_BATCH 2048               /* tokens evaluated at once: bounds activation memory */
#define PUNA_MAX_SLOTS           512           /* states of sequences and copies of them, beside each other */
#define PUNA_CHECKPOINT_TOKENS   512           /* evaluated between two copies of states */
#define PUNA_MAX_TEXT_BYTES (1u << 30)    /* one text to tokenize: 1 GiB */
#define PUNA_MAX_TEMPLATE_BYTES (1u << 20)/* a chat template; real ones are < 32 KiB */
#define PUNA_MAX_TEMPLATE_DEPTH 200       /* nesting of expressions, blocks and calls */
#define PUNA_MAX_TEMPLATE_STEPS 50000000  /* evaluation steps: a second or two, then refuse */
#define PUNA_MAX_TEMPLATE_MS     10000     /* by the clock: for machines that are slow or busy */
#define PUNA_MAX_TEMPLATE_OUTPUT (1u << 26)/* 64 MiB: 16 Mi tokens of 4 bytes */
#define PUNA_MAX_TEMPLATE_MEMORY (1u << 29)/* values while rendering: 8 times the longest text */
#define PUNA_MAX_JSON_DEPTH 128           /* nesting of JSON from outside */

#endif
