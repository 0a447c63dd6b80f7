/* vm.c - the machine's bookkeeping: the first error, memory, steps and nesting. */
#include <stdarg.h>
#include <stdio.h>

#include "base/checked.h"
#include "base/clock.h"
#include "chat/jinja/ast.h"

/* Evaluation levels per unit of macro depth: each level is a few hundred bytes of C stack. */
enum { NESTING_PER_CALL = 12, MIN_NESTING = 600 };

/* The clock is read once in that many steps, as a power of two. */
enum { CLOCK_SHIFT = 14 };

void puna_jvm_fail_status(puna_jvm *vm, puna_status status, const char *message)
{
    if (vm->failed)
        return;
    vm->failed = true;
    vm->status = puna_template_fail(vm->template, vm->at, status, message, vm->err);
}

puna_jv puna_jvm_fail(puna_jvm *vm, const char *format, ...)
{
    char message[400];
    va_list args;
    if (!vm->failed) {
        va_start(args, format);
        vsnprintf(message, sizeof message, format, args);
        va_end(args);
        puna_jvm_fail_status(vm, PUNA_ERR_FORMAT, message);
    }
    return (puna_jv){ .type = PUNA_J_UNDEFINED, .flag = PUNA_J_NO_HINT };
}

static bool spend(puna_jvm *vm, uint64_t steps)
{
    if (vm->failed)
        return false;
    if (vm->steps_left < steps) {
        vm->steps_left = 0;
        puna_jvm_fail(vm, "took more than %llu steps", (unsigned long long)vm->limits.steps);
        return false;
    }
    uint64_t before = vm->steps_left;
    vm->steps_left -= steps;
    if ((before ^ vm->steps_left) >> CLOCK_SHIFT && puna_clock_ns() > vm->deadline_ns) {
        puna_jvm_fail(vm, "took longer than %u ms", vm->limits.time_ms);
        return false;
    }
    return true;
}

bool puna_jvm_step(puna_jvm *vm)
{
    return spend(vm, 1);
}

bool puna_jvm_charge(puna_jvm *vm, size_t bytes)
{
    return spend(vm, 1 + bytes / 16);
}

void *puna_jvm_alloc(puna_jvm *vm, size_t n, size_t size_bytes)
{
    size_t total;
    if (vm->failed)
        return NULL;
    if (!puna_mul_size(n, size_bytes, &total) || total > vm->limits.memory_bytes ||
        vm->arena.size_bytes > vm->limits.memory_bytes - total) {
        puna_jvm_fail(vm, "values need more than %zu bytes of memory", vm->limits.memory_bytes);
        return NULL;
    }
    if (!puna_jvm_charge(vm, total))
        return NULL;
    void *memory = puna_arena_alloc(&vm->arena, total);
    if (!memory)
        puna_jvm_fail_status(vm, PUNA_ERR_MEMORY, "out of memory");
    return memory;
}

bool puna_jvm_enter(puna_jvm *vm)
{
    unsigned most = vm->limits.depth * NESTING_PER_CALL;
    if (most < MIN_NESTING)
        most = MIN_NESTING;
    if (vm->failed)
        return false;
    if (vm->nesting >= most) {
        puna_jvm_fail(vm, "nested deeper than %u levels", most);
        return false;
    }
    vm->nesting++;
    return true;
}

void puna_jvm_leave(puna_jvm *vm)
{
    vm->nesting--;
}
