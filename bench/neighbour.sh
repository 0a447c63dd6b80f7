#!/usr/bin/env bash
# How much a neighbour that takes a share of one processor slows decode:
#   bench/neighbour.sh MODEL [PUNA...]   each build alone and beside the neighbour, interleaved
# The neighbour is a busy loop that is pinned to the last processor and works PERIOD_MS x SHARE of every
# PERIOD_MS (10, 0.5). Prints tokens per second, median of ROUNDS (5) rounds, and the ratio: with N threads
# a fair loss is SHARE / 2 of one thread's part while it works; 0.5 would be a halved decode.
set -eu
model=$1; shift
builds=("${@:-build/puna}")
rounds=${ROUNDS:-5} period=${PERIOD_MS:-10} share=${SHARE:-0.5} options=${OPTIONS:-}
last=$(($(nproc) - 1))

speed() { # PUNA: one decode figure
    # shellcheck disable=SC2086 # several options
    "$1" run -m "$model" --raw --seed 1 -n 96 --ignore-eos --stats $options 'Once upon a time' 2>&1 >/dev/null |
        sed -n 's/.*reply .* tokens, \([0-9.]*\) tok.*/\1/p'
}
neighbour() {
    exec taskset -c "$last" python3 - "$period" "$share" <<'END'
import sys, time
period, share = float(sys.argv[1]) / 1e3, float(sys.argv[2])
while True:
    start = time.monotonic()
    while time.monotonic() < start + period * share:
        pass
    time.sleep(max(0.0, start + period - time.monotonic()))
END
}
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for ((round = 0; round < rounds; round++)); do
    for i in "${!builds[@]}"; do speed "${builds[i]}" >>"$folder/alone$i"; done
    neighbour & pid=$!
    for i in "${!builds[@]}"; do speed "${builds[i]}" >>"$folder/beside$i"; done
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
done
for i in "${!builds[@]}"; do
    alone=$(median <"$folder/alone$i") beside=$(median <"$folder/beside$i")
    printf '%s: alone %.1f, beside the neighbour %.1f tok/s, %.2f of it\n' "${builds[i]}" "$alone" "$beside" \
        "$(awk "BEGIN { print $beside / $alone }")"
done
