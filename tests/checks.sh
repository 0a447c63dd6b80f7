#!/usr/bin/env bash
# The checks of tools/ can fail: each is shown a clean tree, then one with a violation planted.
# usage: tests/checks.sh
set -u
cd "$(dirname "$0")/.."
passed=0 failed=0
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

clean_tree() {
    rm -rf "${tree:?}"/*
    mkdir -p "$tree"/{src/{base,model,backend/{cpu,ref},sample},apps/{cli,store},include,tools}
    cp include/puna.h "$tree/include/"
    printf '/* a.h - nothing. */\n' >"$tree/src/base/a.h"
    printf '/* m.c - clean. */\n#include "base/a.h"\n#include "puna.h"\n/* say it with printf( or "exit(": */\nint f(const char *exit_text);\n' >"$tree/src/model/m.c"
    printf '/* s.c - clean. */\n#include "puna.h"\n#include <curl/curl.h>\n' >"$tree/apps/store/s.c"
    printf '#!/usr/bin/env bash\n# Clean.\ntrue\n' >"$tree/tools/t"
}

# expect NAME CHECK PATTERN: the check must fail on the tree and say PATTERN.
expect() {
    local text
    text=$("tools/$2" "$tree" 2>&1)
    if [ $? -ne 0 ] && grep -qE "$3" <<<"$text"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf '  FAIL %s: %s let it pass: %s\n' "$1" "$2" "$text"
    fi
    clean_tree
}

# C++ can be checked only where a compiler for it is.
skipped=0
expect_plus() {
    if command -v g++ >/dev/null || command -v clang++ >/dev/null; then
        expect "header not C++" check-header 'not valid as C\+\+17'
    else
        echo "  SKIP header not C++: no g++, no clang++"
        skipped=1
        clean_tree
    fi
}

add() { printf '%s\n' "${@:2}" >>"$tree/$1"; }
lines() { for ((i = 0; i < $1; i++)); do echo "    x++;"; done; }

clean_tree
for check in includes sizes banned header text shell; do
    if text=$(tools/check-$check "$tree" 2>&1); then
        passed=$((passed + 1))
    else
        failed=$((failed + 1)); echo "  FAIL clean tree: check-$check: $text"
    fi
done

add src/model/m.c '#include "backend/cpu/cpu.h"';          expect "model sees a backend" check-includes 'model may not include "backend'
add src/backend/cpu/k.c '#include "model/m.h"';            expect "backend sees a model" check-includes 'backend may not include "model'
add src/backend/cpu/k.c '#include "backend/gpu/g.h"';      expect "backend sees another" check-includes 'cpu may not include backend/gpu'
add src/sample/s.c '  #  include "ops/plan.h"';            expect "sample sees ops" check-includes 'sample may not include'
add apps/cli/c.c '#include "gguf/container.h"';            expect "app sees the library's inside" check-includes 'apps/cli may not include "gguf'
add apps/store/s.c '#include "cli/cli.h"';                 expect "store sees cli" check-includes 'apps/store may not include "cli'
add src/base/b.c '#include <openssl/evp.h>';               expect "library in the wrong room" check-includes 'base may not include <openssl'
add src/base/b.c '#include "a.h"';                         expect "include without a folder" check-includes 'expected "folder/file.h"'
mkdir "$tree/src/util"; add src/util/u.c '';               expect "a room not in the plan" check-includes 'util is not in the include rule'

{ echo 'int f(void)'; echo '{'; lines 71; echo '}'; } >>"$tree/src/base/f.c"; expect "long function" check-sizes 'f: 71 lines'
{ echo 'int f(void)'; echo '{'; echo '    /* size: x */'; lines 80; echo '}'; echo 'int g(void)'; echo '{'; lines 90; echo '}'; } \
    >>"$tree/src/base/f.c"; expect "only one function is excused" check-sizes 'g: 90 lines'
lines 1001 >>"$tree/src/base/f.c";                         expect "long file" check-sizes '1001 lines'
lines 300 >>"$tree/src/base/a.h";                          expect "long header" check-sizes '301 lines, a header'
add src/base/f.c 'int f(void) {' '}';                      expect "brace at the end of the line" check-sizes 'own line'
for ((i = 0; i < 60; i++)); do add include/puna.h "PUNA_API int puna_f$i(void);"; done; expect "wide interface" check-sizes 'fewer than 60'
lines 500 >>"$tree/include/puna.h";                        expect "long interface" check-sizes 'fewer than 500'

for word in 'sprintf(b, "x")' 'strcpy(a, b)' 'atoi(a)' 'alloca(9)' 'strtok(a, b)'; do
    add apps/cli/c.c "int f(void) { return $word; }";      expect "$word" check-banned 'banned everywhere'
done
for word in 'exit(1)' 'abort()' 'fprintf(stderr, "")' 'puts("x")' 'printf("x")'; do
    add src/base/b.c "/* a comment" "   on two lines */ int f(void) { return $word; }"; expect "$word" check-banned 'banned in src/'
done

add include/puna.h 'bool puna_new(void);';                 expect "header not alone" check-header 'not valid as c99'
add include/puna.h 'static inline int *puna_x(void *p) { return p; }'; expect_plus

add src/base/b.c 'int x;';                                 expect "no banner" check-text 'expected the banner'
add src/base/b.c '/* c.c - another name. */';              expect "banner of another file" check-text 'expected the banner'
add src/base/a.h "/* T""ODO: later */";                    expect "leftover" check-text 'leftover'
add tools/t "cd /ho""me/someone";                          expect "path of one machine" check-text 'path of one machine'
add src/base/a.h "$(printf '\tint x;')";                   expect "tab" check-text 'a tab'
add src/base/a.h 'int x; ';                                expect "space at the end" check-text 'spaces at the end'
add src/base/a.h "/* $(printf 'x%.0s' {1..150}) */";       expect "long line" check-text 'columns'
printf '#!/bin/sh\necho\n' >"$tree/tools/u";               expect "script without banner" check-text 'banner on the second line'
add tools/t 'if true; then';                               expect "script that does not parse" check-shell 'syntax error'

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
