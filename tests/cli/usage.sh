#!/usr/bin/env bash
# Commands, options, help, completion and errors: how the command line itself behaves.
. "$(dirname "$0")/lib.bash"

commands="run tokenize detokenize logits perplexity bench profile show formats doctor help completion"
run --version; exits 0; has '^puna [0-9]+\.[0-9]+\.[0-9]+$'; quiet
run --help; exits 0; quiet; for c in $commands 'models ls' 'template render'; do has "^  $c "; done
cp out whole
run help; exits 0; ok cmp -s out whole
for c in $commands "models ls" "models show" "models path" "models import" "models rm" "models du" \
    "template render" "template check"; do
    run help $c; exits 0; has "^usage: puna $c"; cp out by_help
    run $c --help; exits 0; ok cmp -s out by_help
    run $c -h; exits 0; ok cmp -s out by_help
done
run help options; exits 0
while IFS= read -r key; do has "--$key( |$)"; done < <(
    sed -n 's/^O(\([a-z_0-9]*\),.*/\1/p' "$root/src/base/options.def" | tr _ -)
run help models; exits 0; has 'puna models import FILE'
run models --help; exits 0; has 'puna models import FILE'
refuses 2 "got 'rnu'" help rnu; says '^try: puna help run$'

# Unknown things: one line, a hint, exit 2.
refuses 2 "command: got none"
refuses 2 "command: got 'rnu'" rnu; says '^try: puna run$'
refuses 2 "command: got 'chat'" chat
refuses 2 "got 'lss'" models lss; says '^try: puna models ls$'
refuses 2 "command: got none" models
refuses 2 "got --tpo-k" run --tpo-k 3 hi; says '^try: --top-k$'
refuses 2 "got --pieecs" tokenize --pieecs hi; says '^try: --pieces$'
refuses 2 "got -Z" run -Z hi
refuses 2 "got --pieces" run --pieces hi
refuses 2 "got --top-k" tokenize --top-k 3 hi
refuses 2 "--model: got no value" run --model
refuses 2 "--top-k: got no value" run --top-k
refuses 2 "--json: got 'x'" run --json=x hi
refuses 2 "top_k" run --top-k abc -m builtin:stories260K hi
refuses 2 "temp" run --temp -1 -m builtin:stories260K hi
refuses 2 "got --no-such" run --no-such hi
refuses 2 "--window: got '1'" perplexity -m builtin:stories260K --window 1 -f "$tiny"
refuses 2 "--repeat" bench -m builtin:stories260K -r 0
refuses 2 "--prefill" bench -m builtin:stories260K -p x
refuses 2 "expected no arguments" models ls x
refuses 2 "expected one name" models path

# Errors as JSON too.
run rnu --json; exits 2; lines 1; says '^puna: '
has '^\{"error":\{"code":2,"message":"command: got .rnu.*","hint":"puna run"\}\}$'
run run --json -m nothing-here hi; exits 3; has '^\{"error":\{"code":3,"message":".*","hint":".*"\}\}$'
run --json run -m nothing-here hi; exits 3; has '"code":3'
run run -m nothing-here hi -- --json; exits 3; empty

# Options stand anywhere, in both spellings, with = or without.
want="1 403 407\n"
run tokenize -m builtin:stories260K Once upon; is "$want"
run tokenize Once -m builtin:stories260K upon; is "$want"
run -m builtin:stories260K tokenize Once upon; is "$want"
run --model=builtin:stories260K tokenize Once upon; is "$want"
run tokenize -mbuiltin:stories260K Once upon; is "$want"
run tokenize -m builtin:stories260K -- Once upon; is "$want"
run tokenize -m builtin:stories260K --threads 1 -t 1 --seed 3 -c 32 Once upon; is "$want"
run tokenize -m builtin:stories260K --kv-type=f16 Once upon; is "$want"
run tokenize -m builtin:stories260K --kv_type f16 Once upon; is "$want"
run tokenize -m builtin:stories260K --fusion off Once upon; is "$want"
run tokenize -m builtin:stories260K --no-fusion Once upon; is "$want"
run tokenize -m builtin:stories260K --fusion Once upon; is "$want"
run tokenize -m builtin:stories260K --no-bos -- --json; exits 0; hasnt 'tokens'
PUNA_TEMP=0 PUNA_N_PREDICT=3 run run -q -m builtin:stories260K --raw Once upon; is " a time,"

# Models that are not there.
refuses 3 "no such file or folder" run -m ./nothing.gguf hi
refuses 3 "no such file or folder" run -m /nothing/at/all.gguf hi
refuses 3 "got 'nothing-here'" run -m nothing-here hi
refuses 3 "org/repo" run -m org/repo:Q4_K_M hi; says '^try: .*import'
refuses 3 "builtin" run -m builtin:nope hi
refuses 2 "empty name" run -m "" hi
echo "this is no model" >junk.gguf
refuses 4 "" show -m junk.gguf
: >empty.gguf
refuses 4 "" show -m empty.gguf
refuses 3 "" perplexity -m builtin:stories260K -f nothing.txt
head -c 5000 "$tiny" >cut.gguf
refuses 4 "" show -m cut.gguf

# Completion: the scripts parse, and know commands and options.
for shell in bash zsh fish; do run completion $shell; exits 0; has perplexity; has pieces; quiet; done
refuses 2 "got 'bsh'" completion bsh; says '^try: puna completion bash$'
"$puna" completion bash >complete.bash
what="bash completion"
ok bash -n complete.bash
words() { bash -c '. ./complete.bash; COMP_WORDS=(puna "$@"); COMP_CWORD=$#; _puna; printf "%s\n" "${COMPREPLY[@]}"' - "$@" >out; }
words to; is 'tokenize\n'
words models im; is 'import\n'
words run --top-; has '^--top-k$'; has '^--top-p$'
words -q tokenize --pi; is '--pieces\n'
command -v zsh >/dev/null && { "$puna" completion zsh >c.zsh; ok zsh -n c.zsh; }
command -v fish >/dev/null && { "$puna" completion fish >c.fish; ok fish -n c.fish; }

# Streams: closed, full, gone.
run help; n=$(wc -c <out)
code=0; "$puna" help options 2>err | head -n 1 >out; codes=("${PIPESTATUS[@]}"); what="puna help options | head -1"
code=${codes[0]}; exits 0; quiet; lines 1
if [ -w /dev/full ]; then
    code=0; "$puna" help >/dev/full 2>err || code=$?; what="puna help >/dev/full"; exits 1; says 'cannot write'
fi
code=0; "$puna" help >&- 2>err || code=$?; what="puna help >&-"; exits 1; says 'cannot write'

# Colours and widths: only on a terminal.
if command -v script >/dev/null; then
    on_terminal() { script -qec "$*" /dev/null </dev/null >out 2>err; what="$* on a terminal"; }
    export TERM=xterm
    on_terminal "$puna help"; has $'\033\\[1m'
    on_terminal "NO_COLOR=1 $puna help"; hasnt $'\033'
    on_terminal "$puna help --no-color"; hasnt $'\033'
    on_terminal "TERM=dumb $puna help"; hasnt $'\033'
    on_terminal "$puna rnu"; has $'\033\\[1;31mpuna:'
    on_terminal "COLUMNS=50 NO_COLOR=1 $puna show builtin:stories260K --metadata"
    ok [ "$(tr -d '\r' <out | wc -L)" -le 50 ]
    on_terminal "$puna run -q"; has 'text: got none'
    export TERM=dumb
else
    skip "terminal: no script(1) here"
fi
run help; hasnt $'\033'
finish
