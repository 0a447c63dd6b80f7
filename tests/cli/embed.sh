#!/usr/bin/env bash
# puna embed: vectors of texts and tokens, their form, and what is refused.
. "$(dirname "$0")/lib.bash"
bert="-m $root/tests/data/model/bert.gguf"
stories="-m builtin:stories260K"

run embed $bert --tokens 2,5,6,32,7,3,9,9 --normalize off --json; exits 0; lines 1; quiet
has '^\{"model":"tiny bert","n_embedding":16,"pooling":"mean","normalized":false,"texts":\[\{"tokens":8,"embedding":\[-1\.09[78]'
run embed $bert --json "a b zebra w1 c"; exits 0; has '"normalized":true,"texts":\[\{"tokens":7,"embedding":\['
sed 's/.*"embedding":\[//; s/\].*//' out | tr ',' '\n' | awk '{ s += $1 * $1 } END { exit !(NR == 16 && s > 0.99999 && s < 1.00001) }'
code=$?; what="length of 1"; exits 0

# A text each: arguments, lines of a file, of standard input; an empty line is a text.
run embed $bert --raw "a b" "c" ""; exits 0; ok test "$(wc -c <out)" -eq 192; cp out three
printf 'a b\nc\n\n' >lines.txt
run embed $bert --raw -f lines.txt; exits 0; ok cmp -s out three
feed 'a b\r\nc\n\n' embed $bert --raw; exits 0; ok cmp -s out three
run embed $bert --raw "a b" "c" "" --batch 1; exits 0; ok cmp -s out three
run embed $bert "a b" c; exits 0; lines 3; has '^VECTOR +TEXT'; has '\.\.\.  +a b$'
run embed $bert --pooling none --json "a b"; exits 0; has '"pooling":"none".*"embeddings":\[\[[^]]*\],\[[^]]*\],\[[^]]*\],\[[^]]*\]\]\}'
run embed $bert --pooling rank --json "a [SEP] b" --special; exits 0; has '"n_embedding":1,"pooling":"rank","normalized":false'; has '"tokens":5,'
run embed $bert --pooling cls --raw --tokens 2,5,3; exits 0; ok test "$(wc -c <out)" -eq 64

# Any decoder, when it is asked for; encoders and nothing else.
run embed $stories --pooling mean --json Once upon; exits 0; has '"n_embedding":64,"pooling":"mean"'; has '\]\},\{"tokens":'
refuses 2 "gives logits, expected one that gives vectors" embed $stories Once; says '^try: --pooling last'
refuses 4 "no classifier" embed $stories --pooling rank Once
refuses 2 "vectors" run $bert hello; says '^try: puna embed'
refuses 2 "vectors" logits $bert hello
refuses 2 "vectors" perplexity $bert -f lines.txt
refuses 2 "vectors" bench $bert
refuses 2 "vectors" profile $bert
refuses 2 "off" embed $bert --pooling off a
refuses 2 "pooling: got most" embed $bert --pooling most a
refuses 2 "on or off" embed $bert --normalize maybe a
refuses 2 "expected one" embed $bert --raw --tokens 2,3 a
refuses 5 "text 2: context" embed $bert a "a b c d e f g h i j k l m n o p q r s t u v w x y z"
run embed $bert --raw --json a; exits 2; has '"error"'; says 'expected one'
run show $bert --json; exits 0; has '"vectors":\{"width":16,"pooling":"mean"\}'
run show $bert; exits 0; has 'gives vectors +of 16, pooling mean'
run show $stories --json; exits 0; has '"vectors":null'
finish
