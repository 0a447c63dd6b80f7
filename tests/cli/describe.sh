#!/usr/bin/env bash
# puna show, formats, doctor and template: what is said of models, build, machine and templates.
. "$(dirname "$0")/lib.bash"

run show builtin:stories260K; exits 0; quiet; has '^architecture +llama$'; has '^parameters +0\.3 M$'; has 'f32: 48 tensors'
cp out by_operand; run show -m builtin:stories260K; ok cmp -s out by_operand
run show builtin:stories260K --json; exits 0; lines 1
for key in name fingerprint architecture parameters context_length encodings memory tokenizer chat_template; do has "\"$key\":"; done
has '"kv_type":"f32","kv_types":{"f32":1280,"f16":640,"bf16":640,"q8_0":400,"q4_0":280}'
hasnt '"tensors":\[\{"name"'
has '"kv_bytes_per_token":1280,' # 5 layers of 4 + 4 heads of 8 values, float32 as a session of this model chooses
run show builtin:stories260K --json --tensors --metadata; exits 0; lines 1
has '"tensors":\[\{"name":"token_embd.weight"'; has '"metadata":\{'
run show builtin:stories260K --tensors; exits 0; lines 49; has '^blk.0.attn_q.weight +f32'
run show builtin:stories260K --metadata; exits 0; has '^llama.block_count +5$'
mkdir one; cp "$tiny" one/; run show one; exits 0; has '^architecture +llama$'
run show -m one/; exits 0
cp "$tiny" one/other.gguf; refuses 2 "folder of 2 models" show one
mkdir vocab; cp "$root/tests/data/token/tiny-unigram.json" vocab/tokenizer.json; run show vocab/; exits 0; has '^name +vocab$'
mkdir none; refuses 3 "" show none
refuses 2 "expected one model" show a b
refuses 2 "expected one model" show -m builtin:stories260K b
if [ -d "$shared/tokenizers" ]; then
    run show "$shared/tokenizers/vocab/ggml-vocab-gpt-2.gguf"; exits 0; has '^tokenizer +gpt2'
    f16=$shared/models/stories260K/stories260K-F16.gguf
    run run -v --isa scalar --raw -m "$f16" -n 1 abc; exits 0; says 'model: '; ok test -z "$(grep 'slow operations' err)"
    run run --isa scalar --raw -m "$f16" -n 1 abc; exits 0; quiet
fi

run formats; exits 0; has '^architectures: .*llama'; has '^q4_k '; has '^containers: gguf'
run formats --json; exits 0; lines 1; has '"architectures":\["llama"'; has '"encodings":\[\{"name":"f32"'

run doctor; exits 0; has '^self-test +passed$'; has '^(prefill|decode) threads +[0-9]+: '; has '^processors +[0-9]+ usable of [0-9]+, '; has '^huge pages +.*got for [0-9]+ %'; has 'GB/s measured'
run doctor --json; exits 0; lines 1; has '"self_test":\{"passed":true,"problem":""\}'; has '"read_gb_per_s":[0-9]'
PUNA_ISA=scalar run doctor --json -t 1; exits 0; has '"passed":true'; has '"chosen":\{"threads":\{"prefill":1,"prefill_because":"asked for'; has '"topology":\{"online":[0-9]'
run doctor --json -t 1 --threads-batch 2; has '"prefill":2,"prefill_because":"asked for with --threads-batch'; has '"decode":1,'
run doctor --isa scalar; exits 0; has '^computes with +scalar'; has 'as asked for'
run doctor --backend ref; exits 0; has '^self-test +passed$'

# Templates.
printf '{%% for m in messages %%}<{{ m.role }}>{{ m.content }}{%% endfor %%}' >t.jinja
printf '{"messages":[{"role":"user","content":"Hi \\u00e9"},{"role":"x","content":"y"}]}' >d.json
run template render t.jinja --data d.json; exits 0; is '<user>Hi \xc3\xa9<x>y'; quiet
run template render --data d.json t.jinja --json; is '{"text":"<user>Hi \xc3\xa9<x>y"}\n'
printf '{{ strftime_now("%%Y-%%m-%%d %%H:%%M:%%S") }}' >now.jinja
run template render now.jinja --data d.json --now 2025-07-10T12:00:00Z; exits 0; is '2025-07-10 12:00:00'
echo '[]' >list.json; refuses 2 'got another JSON value, expected an object' template render t.jinja --data list.json
run template check t.jinja; exits 0; has 'messages'
run template check t.jinja --json; exits 0; has '"variables":\["messages"\]'
printf '{%% for x in %%}' >bad.jinja
run template render bad.jinja --data d.json; ok test "$code" -ne 0; empty; says '^puna: '
run template check bad.jinja --json; has '"problems":\[.+\]'
refuses 2 "expected one: FILE" template render --data d.json
refuses 2 "expected --data" template render t.jinja
refuses 3 "nothing.json" template render t.jinja --data nothing.json
refuses 3 "nothing.jinja" template render nothing.jinja --data d.json
refuses 3 "no chat template" template render -m builtin:stories260K --data d.json
refuses 3 "no chat template" template check -m builtin:stories260K
echo '[1' >bad.json; run template render t.jinja --data bad.json; ok test "$code" -ne 0; empty
for time in x 2025-13-10T12:00:00Z 2025-07-10 "2025-07-10T12:00:00Zx"; do
    refuses 2 "--now" template render now.jinja --data d.json --now "$time"
done
finish
