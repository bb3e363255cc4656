#!/bin/bash
# lookup.sh [-c CORPUS] [-w WORK] [-k] - what does a node with ten images of 3.2 GB know of another?
#
# The six images of the corpus and four made of their halves are read into an index by bench_index,
# which then asks it for ids and counts the first image's 6.5 million blocks against the others.
# Then the same by the program: `index add` of nine, and `similar` of the tenth (indexed before) at
# that store, five times; the line says wall and processor seconds of both sides, and the size of
# the index for each non-zero block. -k keeps WORK's images for the next time.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
corpus='' work=${TMPDIR:-/var/tmp}/vmferry-lookup keep=''
while getopts c:w:k o; do
    case $o in
    c) corpus=$OPTARG ;;
    w) work=$OPTARG ;;
    k) keep=1 ;;
    *) exit 2 ;;
    esac
done
VMFERRY=${VMFERRY:-$here/../build/vmferry}
bench=$here/../build/bench/bench_index
mkdir -p "$work"
corpus=${corpus:-$work/../corpus}
trap 'rm -rf "$work/store" "$work/own"; [ -n "$keep" ] || rm -f "$work"/mix-*.raw' EXIT

# The first half of one image and the second half of another: real data, in another neighbourhood.
mix() { # NAME FIRST SECOND
    [ -e "$work/$1.raw" ] && return
    dd if="$corpus/$2.raw" of="$work/$1.raw" bs=1M count=1600 conv=sparse status=none
    dd if="$corpus/$3.raw" of="$work/$1.raw" bs=1M skip=1600 seek=1600 conv=sparse,notrunc status=none
    truncate -s "$(stat -c %s "$corpus/$3.raw")" "$work/$1.raw"
}
mix mix-1 deb12-web-later deb12-dev
mix mix-2 deb12-dev deb12-web
mix mix-3 deb13-min deb12-dev
mix mix-4 deb12-web deb11-min
set -- "$corpus/deb12-dev.raw" "$corpus/deb12-web.raw" "$corpus/deb12-web-later.raw" "$corpus/deb12-min.raw" \
    "$corpus/deb13-min.raw" "$corpus/deb11-min.raw" "$work/mix-1.raw" "$work/mix-2.raw" "$work/mix-3.raw" "$work/mix-4.raw"

"$bench" -d "$work" "$@"

target=$1
shift
rm -rf "$work/store" "$work/own"
"$VMFERRY" -q --store "$work/own" index add "$target"
"$VMFERRY" -q --store "$work/store" index add "$@"
blocks=$("$VMFERRY" --store "$work/store" --json index ls | jq '[.images[] | .blocks - .zero_blocks] | add')
size=$(du -k "$work/store/index/data.mdb" | cut -f1)
awk -v b="$blocks" -v k="$size" 'BEGIN { printf "index of nine: %.1f bytes for each of %d non-zero blocks\n", k * 1024 / b, b }'
for _ in 1 2 3 4 5; do
    TIMEFORMAT='similar, 1 image against 9: %R s, processor %U + %S s'
    time "$VMFERRY" -q --store "$work/own" --json similar "$target" --node "$work/store" >"$work/similar.json"
done
jq -r '.nodes[0] | "\(.shared_blocks) blocks shared, \(.images | length) images"' "$work/similar.json"
