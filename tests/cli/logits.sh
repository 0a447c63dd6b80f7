#!/usr/bin/env bash
# puna logits, perplexity and bench: numbers and shapes.
. "$(dirname "$0")/lib.bash"
model="-m builtin:stories260K"

run logits $model --tokens 1 --top 2 --json; exits 0; lines 1
has '^\{"n_vocab":512,"positions":\[\{"position":0,"token":1,"top":\[\[403,-0\.24[0-9]+\],\[385,-1\.86[0-9]+\]\]\}\]\}$'
run logits $model --tokens 1,403,407 --all --json --top 1; exits 0
has '"position":0,"token":1,"top":\[\[403,'; has '"position":1,"token":403,"top":\[\[407,'; has '"position":2,"token":407,"top":\[\[261,'
cp out all
run logits $model --tokens "1 403 407" --all --json --top 1; ok cmp -s out all
run logits $model --json --all --top 1 Once upon; ok cmp -s out all
run logits $model --tokens 1,403,407 --json --top 1; exits 0; hasnt '"position":1'; has '"position":2'
run logits $model --tokens 1,403; exits 0; lines 11; has '407'
run logits $model --tokens 1 --top 600 --json; exits 0; ok test "$(tr -cd '[' <out | wc -c)" -eq 514
run logits $model --tokens 1,403,407 --raw; exits 0; ok test "$(wc -c <out)" -eq 2048
run logits $model --tokens 1,403,407 --raw --all; exits 0; ok test "$(wc -c <out)" -eq 6144
run logits $model --tokens 1,403,407 --raw --backend ref; cp out last
run logits $model --tokens 1,403,407 --raw --backend ref --all
tail -c 2048 out | cmp -s - last; code=$?; what="the last of --all is that without"; exits 0
run logits $model --raw --json --tokens 1; exits 2; has '"error"'; says 'expected one'
refuses 2 "expected one" logits $model --tokens 1 text
refuses 2 "tokens" logits $model --tokens 512
refuses 2 "tokens" logits $model --tokens ""
refuses 2 "--top" logits $model --top 0 --tokens 1
refuses 5 "" logits $model -c 2 --tokens 1,403,407

# Perplexity of a fixed text against llama2.c: 6.331502 in windows of 256.
if [ -d "$shared/text" ]; then
    text=$shared/text/tinystories_sample.txt
    run perplexity $model -f "$text" --window 256 --json; exits 0; lines 1; quiet
    has '^\{"perplexity":6\.33(14|15|16)[0-9]*,"mean_nll":1\.8455[0-9]*,"scored_tokens":1785,"tokens":1883,"window":256\}$'
    run perplexity $model -f "$text" --window 256; exits 0; lines 2; has '6\.331[456]'
    code=0; "$puna" perplexity $model --window 256 --json <"$text" >out 2>err || code=$?; what="perplexity of stdin"
    exits 0; has '"scored_tokens":1785'
    run perplexity $model -f "$text" --window 256 --json --backend ref; has '^\{"perplexity":6\.33(14|15|16)'
    refuses 5 "" perplexity $model -f "$text" --window 256 -c 100
else
    skip "perplexity: no shared data here"
fi
printf 'Once upon a time' >short
run perplexity $model -f short --json; exits 0; has '"scored_tokens":4,"tokens":5'; says 'one window'
: >nothing
refuses 2 "at least 2" perplexity $model -f nothing

# bench: shapes, and the same hash twice.
run bench $model -p 16,32 -n 4 -d 0,8 -r 2 --json; exits 0; lines 1
has '^\{"model":"[^"]*","fingerprint":"[0-9a-f]{16}","version":"[^"]*","machine":\{"cpu":"[^"]*","isa":"[^"]*","threads":[0-9]+,"read_gb_per_s":[0-9.]+,"int8_gmac_per_s":[0-9.]+,"int8_way":"[^"]*"\},"results":\['
has '\{"test":"prefill","tokens":16,"depth":0,"median_tok_per_s":[0-9.]+,"min":[0-9.]+,"max":[0-9.]+,"logits_hash":"[0-9a-f]{16}","limit_share":[0-9.e-]+\}'
has '"test":"decode","tokens":4,"depth":8,'
ok test "$(grep -o '"test"' out | wc -l)" -eq 6
grep -o '"logits_hash":"[0-9a-f]*"' out >hashes
run bench $model -p 16,32 -n 4 -d 0,8 -r 1 --json; exits 0
grep -o '"logits_hash":"[0-9a-f]*"' out | cmp -s - hashes; code=$?; what="the same logits twice"; exits 0
run bench $model -p 8 -n 0 -r 1 -t 1; exits 0; has '^prefill +8 '; hasnt '^decode'
refuses 5 "" bench $model -p 64 -n 0 -r 1 -c 16
finish
