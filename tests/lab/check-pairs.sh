#!/bin/bash
# check-pairs.sh CORPUS WORK [IMAGE...]   every ordered pair of real images, counted and moved
#
# For each target and candidate (default: all *.raw in CORPUS): a node holds the candidate, the target is compared
# (`similar`) and moved (`migrate`), and then
#   - the copy is the image, byte for byte (cmp);
#   - the counts are those of tests/lab/blocksim, which shares no code with vmferry;
#   - the blocks that travelled are at most 1.02 times the brute-force number of literals, or 1.06 times where fewer
#     than a tenth of the image's data are literals (finding the rest costs more bytes than it saves there);
#   - the wire, both ways, carried at most 1.10 times those literals as one `zstd -3` stream.
# One line a pair; exit status 1 if any pair failed.  Needs jq, zstd, and disk space for two images.
set -u
C=${1:?usage: check-pairs.sh CORPUS WORK [IMAGE...]} W=${2:?} ; shift 2
here=$(cd "$(dirname "$0")" && pwd)
V=${VMFERRY:-$here/../../build/vmferry}
SIM=${BLOCKSIM:-$here/../../build/lab/blocksim}
if [ $# -gt 0 ]; then names=("$@"); else
    names=(); for f in "$C"/*.raw; do f=${f##*/}; names+=("${f%.raw}"); done
fi
mkdir -p "$W" || exit 1
bad=0
say() { printf '%-16s <- %-16s %s\n' "$1" "$2" "$3"; }

paths=(); for n in "${names[@]}"; do paths+=("$C/$n.raw"); done
[ -s "$W/pairs.tsv" ] || "$SIM" pairs 512 "${paths[@]}" > "$W/pairs.tsv" || exit 1
# Of a pair: blocks, zero blocks, found non-zero blocks (all occurrences), distinct contents of the target, distinct found
brute() {
    awk -F'\t' -v t="$1.raw" -v c="$2.raw" 'NR == 1 { for (i = 1; i <= NF; i++) col[$i] = i; next }
        $col["target"] == t && $col["candidate"] == c {
            print $col["blocks"], $col["zero"], $col["shared_nonzero"], $col["distinct"], $col["shared_distinct"] }' "$W/pairs.tsv"
}

"$V" -q --store "$W/src" index add "${paths[@]}" || exit 1
for c in "${names[@]}"; do
    D=$W/dst; rm -rf "$D"; mkdir -p "$D/images"
    cp --reflink=auto --sparse=always "$C/$c.raw" "$D/images/" || exit 1
    "$V" -q --store "$D" index add "$D/images/$c.raw" || exit 1
    for t in "${names[@]}"; do
        [ "$t" != "$c" ] || continue
        why=
        read -r blocks zero found distinct found_distinct <<< "$(brute "$t" "$c")"
        # both images have zero blocks; the counts below are of non-zero ones
        distinct=$((distinct - 1)) found_distinct=$((found_distinct - 1)) literals=$((distinct - found_distinct))
        j=$("$V" --store "$W/src" --json --progress none similar "$C/$t.raw" --node "$D" 2> "$W/err") || why="similar failed: $(tail -1 "$W/err")"
        s=$(jq -r '.nodes[0] | "\(.shared_blocks) \(.shared_distinct_blocks) \(.literal_blocks)"' <<< "$j")
        [ "$s" = "$((found + zero)) $((found_distinct + 1)) $literals" ] || why="$why similar says '$s', brute force $((found + zero)) $((found_distinct + 1)) $literals;"
        j=$("$V" --store "$W/src" --json --progress none migrate "$C/$t.raw" --to "$D" --as moved.raw 2> "$W/err") || why="$why migrate failed: $(tail -1 "$W/err");"
        m=$(jq -r '"\(.zero_blocks) \(.shared_blocks) \(.literal_blocks) \(.verified)"' <<< "$j")
        [ "$m" = "$zero $found $literals true" ] || why="$why migrate says '$m', brute force $zero $found $literals true;"
        cmp -s "$C/$t.raw" "$D/images/moved.raw" || why="$why the copy differs;"
        sent=$(jq -r '.literal_blocks + .extra_blocks' <<< "$j") wire=$(jq -r '.wire_bytes_sent + .wire_bytes_received' <<< "$j")
        one=$("$SIM" missing 512 "$C/$t.raw" "$C/$c.raw" 2> /dev/null | zstd -q -3 -c | wc -c)
        most=102; [ $((literals * 10)) -ge $((blocks - zero)) ] || most=106
        [ $((sent * 100)) -le $((literals * most)) ] || why="$why $sent blocks travelled;"
        [ $((wire * 100)) -le $((one * 110)) ] || why="$why $wire bytes on the wire;"
        [ -z "$why" ] || bad=1
        say "$t" "$c" "literals $literals, sent x$(awk "BEGIN{printf \"%.4f\", $sent/$literals}"), wire $wire, x$(awk "BEGIN{printf \"%.3f\", $wire/$one}") of zstd -3 ${why:+FAILED:$why}"
        rm -f "$D/images/moved.raw"; "$V" -q --store "$D" index rm "$D/images/moved.raw"
    done
done
rm -rf "${W:?}/dst"
exit $bad
