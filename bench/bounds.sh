#!/bin/bash
# bounds.sh [-c CORPUS] CASE... - the least that a scheme of blocks could send.
#
# Writes what is in no resident image, each content once and in order, through zstd: for blocks of
# 512 and 4096 bytes and for content-defined chunks of 8 and 64 KiB. No digests, no framing: a
# program can come near these numbers, and below them only with a better codec or dictionary.
# Prints "case method raw_bytes zstd_bytes" with tabs. $LEVELS: options of zstd (default
# "-3 --long=27").
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
sim=${BLOCKSIM:-$here/../build/lab/blocksim}
read -ra levels <<<"${LEVELS:--3 --long=27}"
corpus=corpus
while getopts c: o; do
    case $o in
    c) corpus=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ -x "$sim" ] || { echo "bounds: no $sim: run 'make lab'" >&2; exit 1; }
# shellcheck source=cases.sh
. "$here/cases.sh"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
field() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$tmp/counts"; }
for case; do
    bench_case "$case"
    images=("$corpus/$target.raw")
    for r in "${residents[@]}"; do images+=("$corpus/$r.raw"); done
    for method in "missing 512" "missing 4096" "cdc 8192" "cdc 65536"; do
        read -r mode size <<<"$method"
        packed=$("$sim" "$mode" "$size" "${images[@]}" 2>"$tmp/counts" | zstd -q -T0 "${levels[@]}" -c | wc -c)
        if [ "$mode" = cdc ]; then raw=$(field missing_bytes); else raw=$(($(field literal_blocks) * size)); fi
        printf '%s\t%s\t%s\t%s\n' "$case" "$method" "$raw" "$packed"
    done
done
