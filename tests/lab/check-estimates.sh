#!/bin/bash
# check-estimates.sh CORPUS WORK [CASE...]   estimates and predictions against what is true
#
# On the images that make-corpus.sh makes:
#   - the exact counts of all ordered pairs (from the index) are those of tests/lab/blocksim, which shares no code
#     with vmferry;
#   - the estimates from sketches lie within their bounds in 95 % of these pairs, and of 400 random sets of images;
#   - of nodes with random images, the one chosen by estimate is the best one in 95 % of 2,000 random choices;
#   - the predicted wire bytes of `similar` are within 15 % of what the migration then takes, in the cases of
#     bench/cases.sh (default a to e; CASE none: no migrations).
# One line for each check; exit status 1 if any failed.  Needs jq, `make all lab build/bench/bench_sketch`, and disk
# space for four images.
set -u
C=${1:?usage: check-estimates.sh CORPUS WORK [CASE...]} W=${2:?}
shift 2
here=$(cd "$(dirname "$0")" && pwd)
V=${VMFERRY:-$here/../../build/vmferry}
SIM=${BLOCKSIM:-$here/../../build/lab/blocksim}
BENCH=${BENCH_SKETCH:-$here/../../build/bench/bench_sketch}
. "$here/../../bench/cases.sh"
[ $# -gt 0 ] || set -- a b c d e
mkdir -p "$W" || exit 1
bad=0
verdict() { # WHAT CONDITION(awk)
    if awk "BEGIN { exit !($2) }"; then echo "ok      $1"; else
        echo "FAILED  $1"
        bad=1
    fi
}

paths=("$C"/*.raw)
"$V" -q --store "$W/src" index add --format raw "${paths[@]}" || exit 1
[ -s "$W/pairs.tsv" ] || "$SIM" pairs 512 "${paths[@]}" >"$W/pairs.tsv" || exit 1
"$BENCH" "$W/src" >"$W/estimates.tsv" || exit 1

# Both give non-zero blocks here: blocksim's distinct ones count the zero block when both images have it.
wrong=$(awk -F'\t' '
    NR == FNR && FNR == 1 { for (i = 1; i <= NF; i++) col[$i] = i; next }
    NR == FNR { k = $col["target"] "\t" $col["candidate"]; s[k] = $col["shared_nonzero"]; d[k] = $col["shared_distinct"] - 1; next }
    /^[#=]/ { next }
    ($1 "\t" $2) in s { n += !seen[$1, $2]++; if ($3 != s[$1 "\t" $2] || $7 != d[$1 "\t" $2]) print $1, $2 }
    END { if (n != length(s)) print n, "of", length(s), "pairs" }' "$W/pairs.tsv" "$W/estimates.tsv")
[ -z "$wrong" ] || echo "$wrong"
verdict "counts of all pairs equal brute force" "\"$wrong\" == \"\""

pairs=$(awk -F'\t' '!/^[#=]/ && $2 !~ /\+/' "$W/estimates.tsv" | sort -u)
n=$(wc -l <<<"$pairs")
for kind in 6:shared 10:distinct; do
    in=$(awk -F'\t' -v c="${kind%%:*}" '$c == "in"' <<<"$pairs" | wc -l)
    verdict "${kind#*:} blocks of $in of $n pairs lie in their bounds" "$in >= 0.95 * $n"
done
value() { awk -F'\t' -v k="=$1" '$1 == k { print $2 + 0 }' "$W/estimates.tsv"; }
all=$(value compared)
for kind in shared distinct; do
    in=$(value "$kind in bounds")
    verdict "$kind blocks of $in of all $all sets lie in their bounds" "$in >= 0.95 * $all"
done
for kind in "one image" "several images"; do
    right=$(value "first place right, nodes with $kind")
    verdict "nodes with $kind: the first place is right in $right % of 2000 choices" "$right >= 95"
done

for name in "$@"; do
    [ "$name" != none ] || continue
    bench_case "$name" || exit 2
    D=$W/dst
    rm -rf "${D:?}"
    mkdir -p "$D/images"
    for r in ${residents[@]+"${residents[@]}"}; do
        cp --reflink=auto --sparse=always "$C/$r.raw" "$D/images/" || exit 1
        "$V" -q --store "$D" index add --format raw "$D/images/$r.raw" || exit 1
    done
    for how in exact estimate; do
        flag=; [ $how = exact ] || flag=--estimate
        # shellcheck disable=SC2086
        j=$("$V" --store "$W/src" --json --progress none similar $flag "$C/$target.raw" --node "$D") || bad=1
        eval "$how=$(jq -r '.nodes[0].wire_bytes_estimate | if type == "object" then .value else . end' <<<"$j")"
    done
    j=$("$V" --store "$W/src" --json --progress none migrate "$C/$target.raw" --to "$D" --as moved.raw) || bad=1
    wire=$(jq -r '.wire_bytes_sent + .wire_bytes_received' <<<"$j")
    for how in exact estimate; do
        p=${!how}
        off=$(awk "BEGIN { printf \"%+.1f\", 100 * ($p / $wire - 1) }")
        verdict "case $name, $how: $p bytes predicted, $wire taken ($off %)" "$off <= 15 && $off >= -15"
    done
done
rm -rf "${W:?}/dst"
exit $bad
