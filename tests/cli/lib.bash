#!/usr/bin/env bash
# What the command line tests share: sourced with the program as argument 1. Runs the program with
# its output in files, counts checks, and ends in "N passed, N failed, N skipped".
set -u
puna=$(realpath "$1")
root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
shared=$root/../shared/data
tiny=$root/assets/stories260K.gguf
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export PUNA_HOME=$work/store HOME=$work TERM=dumb LC_ALL=C.UTF-8
unset PUNA_MODEL NO_COLOR COLUMNS XDG_DATA_HOME
for variable in $(compgen -e PUNA_); do [ "$variable" = PUNA_HOME ] || unset "$variable"; done
passed=0 failed=0 skipped=0

pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); printf '  FAIL %s\n' "$*"; }
skip() { skipped=$((skipped + 1)); printf '  SKIP %s\n' "$*"; }

# run ARGUMENTS...: the program without input; then $code, and the files out and err.
run() { code=0; "$puna" "$@" >out 2>err </dev/null || code=$?; what="puna $*"; }
# feed TEXT ARGUMENTS...: the same with TEXT (as printf writes it) on standard input.
feed() { local text=$1; shift; code=0; printf -- "$text" | "$puna" "$@" >out 2>err || code=$?; what="puna $* (stdin)"; }

exits() { [ "$code" -eq "$1" ] && pass || fail "$what: exit $code, expected $1: $(head -c 300 err)"; }
# is TEXT: standard output is exactly that, byte for byte (as printf writes it).
is() { printf -- "$1" | cmp -s - out && pass || fail "$what: got '$(head -c 300 out)', expected '$1'"; }
has() { grep -qE -- "$1" out && pass || fail "$what: nothing like '$1' in '$(head -c 400 out)'"; }
hasnt() { grep -qE -- "$1" out && fail "$what: '$1' in '$(head -c 300 out)'" || pass; }
says() { grep -qE -- "$1" err && pass || fail "$what: stderr has nothing like '$1': '$(head -c 300 err)'"; }
quiet() { [ -s err ] && fail "$what: stderr: '$(head -c 300 err)'" || pass; }
empty() { [ -s out ] && fail "$what: stdout: '$(head -c 300 out)'" || pass; }
lines() { [ "$(wc -l <out)" -eq "$1" ] && pass || fail "$what: $(wc -l <out) lines, expected $1"; }
# refuses CODE PATTERN ARGUMENTS...: exit CODE, nothing on stdout, one line `puna: ...` that matches.
refuses() {
    local want=$1 pattern=$2; shift 2
    run "$@"; exits "$want"; empty; says "^puna: .*$pattern"
    [ "$(grep -c '^puna: ' err)" -eq 1 ] && pass || fail "$what: expected one line: $(cat err)"
}
ok() { if "$@"; then pass; else fail "$what: not so: $*"; fi; }

finish() { echo "$passed passed, $failed failed, $skipped skipped"; [ "$failed" -eq 0 ]; exit; }
