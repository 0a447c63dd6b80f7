#!/usr/bin/env bash
# puna tokenize and detokenize.
. "$(dirname "$0")/lib.bash"
model="-m builtin:stories260K"

run tokenize $model Once upon; exits 0; is '1 403 407\n'; quiet
run tokenize $model --no-bos Once upon; is '403 407\n'
run tokenize $model ""; is '1\n'
run tokenize $model --no-bos ""; is '\n'
feed 'Once upon' tokenize $model; is '1 403 407\n'
printf 'Once upon' >text; run tokenize $model -f text; is '1 403 407\n'
run tokenize $model --pieces Once upon; is '1\t<s>\n403\t Once\n407\t upon\n'
feed 'a\n\\\t' tokenize $model --pieces --no-bos; exits 0; has $'\t\\\\n$'; has $'\t\\\\\\\\$'; has $'\t\\\\t$'
run tokenize $model --json Once upon; is '{"tokens":[1,403,407],"pieces":["<s>"," Once"," upon"]}\n'
run tokenize $model --no-bos --special '<s>'; is '1\n'
run tokenize $model --no-bos '<s>'; exits 0; hasnt '^1$'

# Text of any bytes comes back, byte for byte.
back() {
    what="round trip of $1"
    "$puna" tokenize $model -f "$1" >ids 2>err && "$puna" detokenize $model <ids >out 2>err
    ok cmp -s "$1" out
}
printf 'Once upon a time' >a; back a
printf 'a  b \n\n c\t\n' >b; back b
printf 'caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80' >c; back c
printf 'not \xff UTF-8 \x80\xfe' >d; back d
printf 'nul \0 nul' >e; back e
tail -c 20000 "$tiny" >f; back f
for i in $(seq 4000); do printf 'Once upon a time there was a little girl named Lily. She loved to play.\n%.0s' {1..15}; done >g
back g

run detokenize $model 403 407; exits 0; is 'Once upon'
run detokenize $model 1,403,407; exits 0
run detokenize $model --special 1 403; has '<s>'
feed '403, 407\n' detokenize $model; exits 0; has 'Once upon'
run detokenize $model --json 403 407; has '^\{"text":".*Once upon"\}$'
refuses 2 "token id" detokenize $model x
refuses 2 "token id" detokenize $model 3x
refuses 2 "token id" detokenize $model -- -5
refuses 2 "token id" detokenize $model 99999999999999
run detokenize $model 512; what="an id beyond the vocabulary"; ok test "$code" -ne 0; empty
refuses 2 "expected one text" tokenize $model -f text more

# Other files with a vocabulary in them.
if [ -d "$shared/tokenizers" ]; then
    run tokenize -m "$shared/models/stories260K/tok512.model" Once upon; exits 0; is '1 403 407\n'
    run tokenize -m "$shared/models/stories260K/stories260K.bin" Once upon; exits 0; is '1 403 407\n'
    run tokenize -m "$shared/tokenizers/vocab/ggml-vocab-gpt-2.gguf" Hello world; exits 0; is '15496 995\n'
    run tokenize -m "$shared/tokenizers/t5-small" Hello; exits 0
else
    skip "tokenizers: no shared data here"
fi
finish
