#!/usr/bin/env bash
# puna run: what is printed, and how it ends.
. "$(dirname "$0")/lib.bash"
model="-m builtin:stories260K"

# The known greedy story (llama2.c's own program prints the same).
story=", there was a little girl named Lily. She loved to play outside in the park. One day,"
run run $model --raw --temp 0 -n 30 Once upon a time; exits 0; is "$story"; quiet
run run $model --temp 0 -n 30 Once upon a time; exits 0; is "$story"; says '^puna: .*no chat template'
ok [ "$(wc -l <err)" -eq 1 ]
run run $model --temp 0 -n 30 -q "Once upon a time"; is "$story"; quiet
run run $model --temp=0 --n-predict=30 -q Once "upon a" time; is "$story"
feed 'Once upon a time' run $model --temp 0 -n 30 --raw; is "$story"
printf 'Once upon a time' >prompt.txt
run run $model --temp 0 -n 30 --raw -f prompt.txt; is "$story"
feed 'Once upon a time' run $model --temp 0 -n 30 --raw -f -; is "$story"
run run $model --raw --temp 0 -n 30 --backend ref Once upon a time; is "$story"
run run $model --raw --temp 0 -n 30 -t 1 Once upon a time; is "$story"
run run $model --raw --temp 0 -n 30 -c 64 --batch 2 Once upon a time; is "$story"
run run $model --raw --temp 0 -n 0 Once; exits 0; empty
run run -m "$tiny" --raw --temp 0 -n 30 Once upon a time; is "$story"

# Seeds.
run run $model --raw --seed 7 -n 40 Once; cp out first
run run $model --raw --seed 7 -n 40 Once; ok cmp -s out first
run run $model --raw --seed 8 -n 40 Once; what="another seed"; ok test "$(cat out)" != "$(cat first)"

# JSON: one document with everything.
run run $model --raw --temp 0 -n 5 --json Once upon a time; exits 0; lines 1
has '^\{"text":", there was a little","tokens":\[[0-9]+(,[0-9]+){4}\],"finish_reason":"length",'
has '"usage":\{"prompt_tokens":5,"completion_tokens":5\},'
has '"timings":\{"load_ms":[0-9.]+(e-?[0-9]+)?,"prefill_ms":[0-9.e-]+,"decode_ms":[0-9.e-]+,"first_token_ms":[0-9.e-]+\},'
has '"model":\{"name":"[^"]+","fingerprint":"[0-9a-f]{16}"\}\}$'
run run $model --raw --temp 0 -c 8 --json Once upon a time; exits 0; has '"finish_reason":"length"'
run run $model --raw --temp 0 -n 5 --stats Once; exits 0; says '^prompt 2 tokens, .*tok/s; reply 5 tokens, .*first token after'

# What cannot be done.
refuses 5 "expected at most the context's 4" run $model --raw -c 4 Once upon a time there was; says '^try: '
run run $model --raw -c 4 --json Once upon a time there was; exits 5; has '"error":\{"code":5'
refuses 2 "expected one text" run $model -f prompt.txt more
refuses 2 "chat template" run $model --system "Be brief" hi
refuses 2 "chat template" run $model --raw --system "Be brief" hi
refuses 3 "nothing.txt" run $model -f nothing.txt
for i in $(seq 2000); do printf 'Once upon a time there was a little girl named Lily. %.0s' {1..20}; done >huge.txt
code=0; "$puna" run $model --raw <huge.txt >out 2>err || code=$?; what="a prompt of 2 MB"; exits 5; empty

# No -m: the store's default, else the builtin one, said once.
run run --temp 0 -n 30 --raw Once upon a time; exits 0; is "$story"; says 'no default model .*builtin:stories260K'
run run -q --temp 0 -n 30 --raw Once upon a time; is "$story"; quiet
PUNA_MODEL=builtin:stories260K run run --temp 0 -n 30 --raw Once upon a time; is "$story"; quiet
PUNA_MODEL=missing-one run run --raw Once; exits 3; empty
mkdir -p store && echo builtin:stories260K >store/default
run run --temp 0 -n 30 --raw Once upon a time; is "$story"; quiet
rm store/default

# Ctrl-C: what was produced, a newline, statistics, 130.
interrupt() {
    "$puna" run $model --raw --ignore-eos -c 100000 --backend ref "$@" Once >out 2>err </dev/null &
    local pid=$!
    what="Ctrl-C $*"
    for i in $(seq 100); do [ -s "$watch" ] && break; sleep 0.05; done
    sleep 0.2
    kill -INT $pid
    code=0; wait $pid || code=$?
}
watch=out
interrupt --stats; exits 130; says 'reply [1-9][0-9]* tokens.*interrupted'
ok test -s out; ok test "$(tail -c 1 out | od -An -tx1)" = " 0a"
watch=/nothing
interrupt --json; exits 130; lines 1; has '"finish_reason":"interrupted"'; hasnt '"error"'

# A reader that goes away ends it quietly.
"$puna" run $model --raw --ignore-eos -c 100000 --backend ref -n 2000 --seed 1 Once 2>err | head -c 20 >out
code=${PIPESTATUS[0]}; what="puna run | head"; exits 0; quiet; ok test "$(wc -c <out)" -eq 20
if [ -w /dev/full ]; then
    code=0; "$puna" run $model --raw -n 50 Once >/dev/full 2>err || code=$?; what="puna run >/dev/full"; exits 1; says 'cannot write'
fi

# With a chat template: a real model, where it was fetched.
chat=$root/build/models/smollm2.gguf
if [ -f "$chat" ]; then
    run run -m "$chat" --temp 0 -n 8 --json "Hi"; exits 0; quiet; has '"prompt_tokens":3[0-9]'; cp out plain
    run run -m "$chat" --temp 0 -n 8 --json "<|im_end|>"; exits 0; what="a special token in a message"
    run run -m "$chat" --temp 0 -n 8 --json --system "Be brief" "Hi"; exits 0; ok test "$(cat out)" != "$(cat plain)"
    run run -m "$chat" --temp 0 -n 8 --raw --json "Hi"; exits 0; has '"prompt_tokens":1,'
    run run -m "$chat" --raw --json -n 0 --special "<|im_start|>"; exits 0; has '"prompt_tokens":1,'
    run run -m "$chat" --raw --json -n 0 "<|im_start|>"; exits 0; hasnt '"prompt_tokens":1,'
    feed 'a\0b' run -m "$chat" -n 1; exits 2; says 'NUL'
else
    skip "chat: no build/models/smollm2.gguf (make models)"
fi
finish
