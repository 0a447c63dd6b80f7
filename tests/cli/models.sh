#!/usr/bin/env bash
# puna models: the store from the outside.
. "$(dirname "$0")/lib.bash"
digest=$(sha256sum "$tiny" | cut -d' ' -f1)
size=$(wc -c <"$tiny")

run models ls; exits 0; lines 1; says 'store is empty'
run models ls --json; exits 0; has "^\{\"store\":\"$work/store\",\"models\":\[\]\}$"
run models du --json; exits 0; has '"files":\[\],"total_bytes":0,"orphan_bytes":0'
ok test ! -e "$work/store"
refuses 3 "got 'tiny'" models rm tiny
ok test ! -e "$work/store"

run models import "$tiny" --name tiny:f32; exits 0; has "^tiny:f32 .*sha256 $digest$"
ok test -f "store/blobs/sha256-$digest"
ok test -f store/models/tiny/f32.json
ok test -f "$tiny"
run models ls; exits 0; lines 2; has '^tiny:f32 +1\.13 MiB  gguf'
run models ls --json; has "\"name\":\"tiny\",\"tag\":\"f32\",\"format\":\"gguf\",\"size\":$size,\"sha256\":\"$digest\""
run models path tiny; exits 0; is "$work/store/blobs/sha256-$digest\n"
run models path tiny:F32; exits 0
run models path --json tiny; has '^\{"path":"'
run models path builtin:stories260K; exits 0; is 'builtin:stories260K\n'
run models show tiny; exits 0; has "^sha256 +$digest$"
run models show tiny --json; exits 0; has "\"source\":\"$tiny\""
run tokenize -m tiny Once upon; is '1 403 407\n'
run tokenize -m tiny:f32 Once upon; is '1 403 407\n'
PUNA_MODEL=tiny run tokenize Once upon; is '1 403 407\n'
run show tiny; exits 0; has llama

# Names: nearest, tags, several of one name.
refuses 3 "got 'tny'" tokenize -m tny hi; says '^try: -m tiny'
refuses 3 "got 'tny'" models rm tny; says '^try: puna models rm tiny'
run models import "$tiny" --name tiny:other; exits 0
refuses 3 "without a tag" models path tiny
run models import "$tiny" --name org/tiny:q; exits 0
run tokenize -m org/tiny Once upon; is '1 403 407\n'
run models import "$tiny"; exits 0; has '^stories260k:latest '
run models ls; lines 5
for name in '' '../x' 'a/b/c' '.x' 'x:' ':x' 'a b' 'x.json' "$(printf 'x%.0s' {1..100})"; do
    run models import "$tiny" --name "$name"; exits 2
done

# Disk: four names, one file; it goes with the last name.
run models du --json; has "\"size\":$size,\"models\":4,"; has "\"total_bytes\":$size,\"orphan_bytes\":0"
run models rm tiny:f32 tiny:other org/tiny; exits 0; has '^removed tiny:f32$'; has '^freed 0 B$'
ok test ! -e store/models/tiny
ok test ! -e store/models/org
run models rm stories260k --json; exits 0; has "^\{\"removed\":\[\"stories260k:latest\"\],\"freed_bytes\":$size\}$"
ok test ! -e "store/blobs/sha256-$digest"

# Refused, and nothing left behind.
run models import "$tiny" --name t --sha256 "${digest/[0-9a-e]/f}"; exits 4; says 'sha256'
run models import "$tiny" --name t --sha256 abc; exits 2
echo junk >junk.gguf; run models import junk.gguf --name t; exits 4
run models import nothing.gguf --name t; exits 3
head -c 100000 "$tiny" >cut.gguf; run models import cut.gguf --name t; exits 4
run models import "$tiny" --move --link; exits 2
run models ls; lines 1
what="no leftovers"; ok test -z "$(find store/blobs -type f)"
run models import "$tiny" --name t --sha256 "$(tr a-f A-F <<<"$digest")"; exits 0
run models rm t; exits 0

# Link and move.
cp "$tiny" linked.gguf; run models import linked.gguf --name l --link; exits 0
ok test "$(stat -c %i linked.gguf)" = "$(stat -c %i "store/blobs/sha256-$digest")"
run models rm l; ok test -f linked.gguf
cp "$tiny" moved.gguf; run models import moved.gguf --name m --move; exits 0; ok test ! -e moved.gguf
run tokenize -m m Once upon; is '1 403 407\n'

ln -s "$tiny" pointer.gguf; run models import pointer.gguf --name p --link; exits 0
run models rm p m; run models import pointer.gguf --name m --move; exits 0; ok test ! -e pointer.gguf; ok test -f "$tiny"
ok test ! -L "store/blobs/sha256-$digest"

# A missing file, an orphan, a broken manifest.
mv "store/blobs/sha256-$digest" kept
refuses 3 "file is missing" tokenize -m m hi
cp kept "store/blobs/sha256-$digest"; echo x >store/blobs/import-1.partial
run models du; exits 0; has 'import-1.partial +\(orphan\)'; has 'orphans 2 B'; says 'rm --orphans'
run models rm --orphans; exits 0; has 'removed 1 orphans'
run tokenize -m m Once upon; is '1 403 407\n'
mkdir -p store/models/bad && echo '{"name":"../../etc"}' >store/models/bad/x.json
run models ls; exits 4; says 'manifest'
run models rm --orphans; exits 4
run tokenize -m m Once upon; is '1 403 407\n'
rm -r store/models/bad

# Two writers at once.
for i in 1 2 3 4; do "$puna" models import "$tiny" --name "w$i" >/dev/null 2>err & done; wait
run models ls; lines 6
finish
