#!/bin/bash
# fleet.sh [-d DIR] [NODES...]   ranking of many nodes with 100 images each, as a Markdown table
#
# Default: 10 1000 10000 nodes.  DIR (default /var/tmp) needs about 0.1 MB for each node; the
# summaries are removed again.  Build first: make build/bench/bench_fleet.  FLEET.md says what it
# means.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=/var/tmp
while getopts d: o; do
    case $o in
    d) dir=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- 10 1000 10000
echo "| nodes | KB a summary | s to read, compare and rank (median of 3) | CPU s | in bounds | rms error | place of the best | worth a count |"
echo "|--:|--:|--:|--:|--:|--:|--:|--:|"
for n in "$@"; do
    "$here/../build/bench/bench_fleet" "$n" 100 "$dir/vf-fleet.$$" | awk -v n="$n" '
        /^read, compared/ { wall[++k] = $5; cpu[k] = $7 }
        / made in / { kb = $10 }
        /^estimates in/ { inside = $5 }
        /^rms error/ { rms = $6 }
        /^the best one/ { place = $7 + 1; count = $12 }
        END {
            for (i = 1; i <= k; i++) for (j = i + 1; j <= k; j++) {
                if (wall[j] < wall[i]) { t = wall[i]; wall[i] = wall[j]; wall[j] = t }
                if (cpu[j] < cpu[i]) { t = cpu[i]; cpu[i] = cpu[j]; cpu[j] = t }
            }
            printf "| %d | %.0f | %.3f | %.3f | %.1f %% | %.2f %% | %d | %d |\n", n, kb, wall[2], cpu[2], inside, rms, place, count
        }'
done
