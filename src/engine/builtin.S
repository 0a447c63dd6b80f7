/* builtin.S - the bytes of builtin:stories260K, see assets/README.md. */
#if defined(__arm__) || defined(__aarch64__)
#define PROGBITS %progbits
#else
#define PROGBITS @progbits
#endif
    .section .rodata
    .balign 64
    .globl puna_builtin_stories260k
    .hidden puna_builtin_stories260k
puna_builtin_stories260k:
    .incbin "assets/stories260K.gguf"
    .globl puna_builtin_stories260k_end
    .hidden puna_builtin_stories260k_end
puna_builtin_stories260k_end:
    .byte 0
    .section .note.GNU-stack,"",PROGBITS
