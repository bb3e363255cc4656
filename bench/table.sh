#!/bin/sh
# table.sh RESULTS... - Markdown tables of what peers.sh measured: one for each case, sorted by
# bytes on the wire, medians over the runs that ended well. "at 100 Mbit/s" is the larger of the
# wall time and the time that the wire bytes take there: what is left when both overlap fully. "others":
# processors that were busy with something else meanwhile (median); where that is much, the least wall
# time of the runs says more than the median. "x": how many times what vmferry takes (of the image that was
# indexed before, if that was measured): bytes, wall time, processor time.
set -eu
[ $# -gt 0 ] || { echo "usage: table.sh RESULTS..." >&2; exit 2; }
cat "$@" | awk -F'\t' '
function median(list, n,    v, i, j, t) {
    split(list, v, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
    return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
function least(list, n,    v, i, t) {
    split(list, v, " ")
    t = v[1]
    for (i = 2; i <= n; i++)
        if (v[i] + 0 < t + 0) t = v[i]
    return t
}
{
    key = $1 "\t" $2
    tried[key]++
    if ($3 != 0 || $4 != "yes") next
    good[key]++
    wall[key] = wall[key] " " $5; cpu[key] = cpu[key] " " $6
    rss[key] = rss[key] " " $7; others[key] = others[key] " " ($10 + 0); wire[key] = wire[key] " " ($8 + $9)
}
END {
    for (key in tried) {
        split(key, part, "\t")
        n = good[key]
        if (!n) {
            printf "%s\t%s\t| %s | failed | | | | | | | | %d |\n", part[1], 1e18, part[2], tried[key]
            continue
        }
        w = median(wire[key], n); t = median(wall[key], n)
        ours = part[1] "\tvmferry (image indexed before)"
        if (!good[ours]) ours = part[1] "\tvmferry (image not indexed)"
        times = "-"
        if (good[ours]) {
            n0 = good[ours]
            times = sprintf("%.2f, %.2f, %.2f", w / median(wire[ours], n0), t / median(wall[ours], n0),
                median(cpu[key], n) / median(cpu[ours], n0))
        }
        printf "%s\t%.0f\t| %s | %.1f | %.1f | %.1f | %.1f | %s | %.0f | %.0f | %.1f | %d |\n", part[1], w, part[2], w / 1e6, t, least(wall[key], n),
            median(cpu[key], n), times, median(rss[key], n) / 1024, (w * 8 / 1e8 > t) ? w * 8 / 1e8 : t,
            median(others[key], n), n
    }
}' | sort -t "$(printf '\t')" -k1,1 -k2,2n | awk -F'\t' '
$1 != last {
    last = $1
    printf "%s### case %s\n\n| tool | wire MB | wall s | least | CPU s | x | peak MiB | s at 100 Mbit/s | others | runs |\n", (NR > 1 ? "\n" : ""), $1
    print "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
}
{ print $3 }'
