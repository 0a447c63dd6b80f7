#!/usr/bin/env bash
# bench and profile: their documents, made-up models, pictures, and what they refuse.
. "$(dirname "$0")/lib.bash"

# number KEY: the first value of a key in the document.
number() { grep -oE "\"$1\":-?[0-9.e+-]+" out | head -1 | cut -d: -f2; }
# above KEY LEAST: that value is more.
above() { ok awk "BEGIN { exit !($(number "$1") > $2) }"; }

# The contract of bench --json, one row a test and depth.
run bench -m builtin:stories260K -p 8,4 -n 2 -b 1,3 -d 0,5 -r 2 --json -t 2; exits 0; quiet; lines 1
has '^\{"model":"llama","fingerprint":"[0-9a-f]{16}","version":"[0-9.]+","machine":\{"cpu":".+","isa":".+","threads":2,'
above read_gb_per_s 0.1; above int8_gmac_per_s 0.1; has '"int8_way":"[a-z]'
for test in prefill:8 prefill:4 decode:2 batch:1 batch:3; do
    for depth in 0 5; do
        has "\"test\":\"${test%:*}\",\"tokens\":${test#*:},\"depth\":$depth,\"median_tok_per_s\":[0-9.e+]+,\"min\":[0-9.e+]+,\"max\":[0-9.e+]+,\"logits_hash\":\"[0-9a-f]{16}\",\"limit_share\":[0-9.e-]+\}"
    done
done
ok test "$(grep -o '"test"' out | wc -l)" -eq 10

# The same tokens give the same logits, at once or one by one after a depth, whatever was run before.
hash_of() { run bench -m builtin:stories260K -r 1 --json -t 1 --backend ref "$@"; grep -oE '"logits_hash":"[0-9a-f]+"' out; }
whole=$(hash_of -p 6 -n 0) split=$(hash_of -p 2 -n 0 -d 4) single=$(hash_of -p 0 -n 2 -d 4) batch=$(hash_of -p 0 -n 0 -b 2 -d 4)
ok test -n "$whole" -a "$whole" = "$split" -a "$whole" = "$single" -a "$whole" = "$batch"

run bench -m builtin:stories260K -p 4 -n 2 -r 1; exits 0; has '^TEST +TOKENS +DEPTH'; has '^prefill +4 +0 '; has '^decode +2 +0 '
hasnt '^batch'; has 'G int8 multiply-adds/s \('

# Made-up models: in memory, and saved for others to read.
run bench --synthetic llama-tiny:q4_k_m -p 4 -n 2 -r 1 --json; exits 0; has '^\{"model":"llama-tiny:q4_k_m"'; cp out in_memory
run bench --synthetic llama-tiny:q4_k_m --save m.gguf -p 4 -n 2 -r 1 --json; exits 0; says 'saved m.gguf: 0.9 MB'
hashes() { grep -oE '"(fingerprint|logits_hash)":"[0-9a-f]+"' "$1"; }
hashes in_memory >a; hashes out >b; ok cmp -s a b
ok test -f m.gguf -a ! -e m.gguf.part
run show m.gguf; exits 0; has '^architecture +llama'; has 'q4_k: [0-9]+ tensors'
run bench -m m.gguf -p 4 -n 2 -r 1 --json; exits 0; hashes out >b; ok cmp -s a b
run logits -m m.gguf --tokens 1,2,3 --json; exits 0; has '"logprob|"top":\[\[[0-9]+,-[0-9.]+\]'
run bench --synthetic layers=1,embd=64,ff=96,heads=2,vocab=300:q5_1 -p 3 -n 0 -r 1; exits 0; has '^prefill +3 '
run formats; exits 0; has '^synthetic_shapes: .*llama-1b'; has '^synthetic_mixes: q4_k_m'
refuses 2 "shape: got 'lama-1b'" bench --synthetic lama-1b:q4_0; says '^try: did you mean llama-1b\?$'
refuses 2 "format: got 'q4_k_x'" bench --synthetic llama-1b:q4_k_x; says 'did you mean q4_k_m'
refuses 2 "expected SHAPE:FORMAT" bench --synthetic llama-1b
refuses 2 "both -m and --synthetic" bench -m builtin:stories260K --synthetic llama-tiny:q8_0
refuses 2 "got no --synthetic" bench -m builtin:stories260K --save x.gguf
refuses 2 "is no regular file" bench --synthetic llama-tiny:q8_0 --save "$work"
refuses 1 "cannot write: no/such/folder.gguf" bench --synthetic llama-tiny:q8_0 --save no/such/folder.gguf
refuses 5 "synthetic model" bench --synthetic llama-8b,layers=4096,embd=65536,ff=1048576,heads=512,kv=512:f32
ok test ! -e x.gguf
refuses 2 "--rows" bench -m builtin:stories260K -b x

# profile: every step in a kind and in a layer, and times that add up.
run profile -m m.gguf -p 16 -n 4 -d 8 --json; exits 0; quiet; lines 1
has '"phases":\[\{"test":"prefill","tokens":16,"depth":8,"runs":1,'; has '\{"test":"decode","tokens":4,"depth":8,"runs":4,'
has '"label":"attention"'; has '"label":"ffn_gate\+ffn_up"'; has '"label":"output"'; has '"layer":0'; has '"layer":1'
if command -v python3 >/dev/null; then
    cat >sums.py <<'END'
import json, math, sys
document = json.load(open(sys.argv[1]))
for phase in document["phases"]:
    total = phase["total"]
    for group in ("steps", "kinds", "layers"):
        for key in ("ms", "bytes", "multiplies"):
            got = sum(row[key] for row in phase[group])
            assert math.isclose(got, total[key], rel_tol=1e-6), (group, key, got, total[key])
    assert sum(row["steps"] for row in phase["kinds"]) == len(phase["steps"]) == total["steps"]
    assert total["ms"] > 0
before, after = 256 * 256 + 2 * 256 * 128, 256 * 256 + 3 * 256 * 512 # attention, in a layer
decode = document["phases"][1]["total"]
pairs = sum(8 + i for i in range(1, 5))
assert decode["multiplies"] == 4 * (2 * before + 2 * after + 256 * 512) + 2 * pairs * 4 * 128, decode["multiplies"]
prefill = document["phases"][0]["total"]
pairs = sum(8 + i for i in range(1, 17))
wanted = 16 * (2 * before + after) + after + 256 * 512 # of the last layer only what the last token needs
assert prefill["multiplies"] == wanted + 2 * pairs * 4 * 128, prefill["multiplies"]
END
    ok python3 sums.py out
fi
run profile -m m.gguf -p 4 -n 2 --no-fusion; exits 0; has '^STEP +COUNT'; has '^norm +5 '; has '^rope +4 '; has '^attention +2 '
has '^LAYER +STEPS'; has '^outside '; has '^all '
run profile -m m.gguf -p 4 -n 2 --backend ref; exits 0; has '^attn_q +2 '
run profile --synthetic llama-tiny:q8_0 -p 4 -n 2 --svg p.svg; exits 0; says '^puna: wrote p.svg$'
ok grep -q '^<svg xmlns=' p.svg; ok grep -q '^</svg>$' p.svg; ok grep -q '>layer 1: ' p.svg; ok grep -q 'attention' p.svg
ok test "$(grep -o '<g>' p.svg | wc -l)" -eq "$(grep -o '</g>' p.svg | wc -l)"
run profile -m m.gguf -p 4 -n 0 --json; exits 0; hasnt '"test":"decode"'
refuses 2 "is no regular file" profile -m m.gguf -p 4 -n 2 --svg "$work"
refuses 2 "--depth" profile -m m.gguf -d -1
refuses 2 "got -b" profile -m m.gguf -b 2
finish
