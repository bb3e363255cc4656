#!/bin/bash
# linear.sh [-c CORPUS] [-w WORK] [-n RUNS] [-z LEVEL] [GIB...] - does the cost grow with the size only?
#
# Images of 1, 2, 4, 8 and 16 GiB of the same kind of data are made of pieces of the corpus (see
# mkpieces.c), so that a larger image does not merely repeat a smaller one. The destination holds
# one of which one piece in eight is another one. For each size, between two local stores: `index
# add`, `migrate` of the image that was not indexed before, and of the one that was (--compress
# LEVEL; default: auto). Lines with tabs: GiB, of it not zero, what, wall seconds, processor seconds
# of both sides, the same for each GiB that is not zero, peak memory of the largest process, MB sent.
# The data differ a little from size to size, hence "not zero". Needs twice the largest size, and as much again for the copy, on
# WORK's file system; what it made is removed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
corpus='' work=${TMPDIR:-/var/tmp}/vmferry-linear runs=1 level=auto
while getopts c:w:n:z: o; do
    case $o in
    c) corpus=$OPTARG ;;
    w) work=$OPTARG ;;
    n) runs=$OPTARG ;;
    z) level=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- 1 2 4 8 16
VMFERRY=$(realpath "${VMFERRY:-$here/../build/vmferry}")
METER=${METER:-$here/../build/lab/meter}
mkdir -p "$work" && work=$(cd "$work" && pwd)
corpus=$(cd "${corpus:-$work/../corpus}" && pwd)
trap 'rm -rf "$work/old.raw" "$work/new.raw" "$work/src" "$work/dst" "$work/log"' EXIT

# run WHAT GIB COMMAND...: a line about it.
run() {
    local what=$1 gib=$2 sent=''
    shift 2
    : >"$work/log"
    "$METER" run "$work/log" run "$@" >"$work/out.json" 2>"$work/err" || { cat "$work/err" >&2; exit 1; }
    sent=$(jq '.wire_bytes_sent // 0' "$work/out.json")
    awk -F'\t' -v what="$what" -v gib="$gib" -v sent="$sent" -v data="$data" '{ cpu = $4 + $5
        printf "%d\t%.2f\t%s\t%.2f\t%.2f\t%.2f\t%.2f\t%d MiB\t%.1f\n", gib, data, what, $3, cpu, $3 / data,
            cpu / data, $6 / 1024, sent / 1e6 }' "$work/log"
}

printf 'GiB\tdata\twhat\twall\tcpu\twall/GiB\tcpu/GiB\tmemory\tMB sent\n'
for gib; do
    "$here/../build/lab/mkpieces" "$gib" "$work/old.raw" "$work/new.raw" "$corpus"/*.raw
    "$VMFERRY" -q --json --store "$work/dst" index add "$work/old.raw" >/dev/null
    data=$("$VMFERRY" --store "$work/dst" --json index ls | jq '.images[0] | (.blocks - .zero_blocks) / 2097152')
    for ((i = 0; i < runs; i++)); do
        rm -rf "$work/src" "$work/dst"
        run "index add" "$gib" "$VMFERRY" -q --json --store "$work/dst" index add "$work/old.raw"
        run "migrate" "$gib" "$VMFERRY" -q --json --store "$work/src" migrate "$work/new.raw" --to "$work/dst" --compress "$level"
        cmp "$work/new.raw" "$work/dst/images/new.raw"
        rm "$work/dst/images/new.raw"
        "$VMFERRY" -q --store "$work/dst" index rm "$work/dst/images/new.raw" >"$work/out.json"
        run "migrate, indexed" "$gib" "$VMFERRY" -q --json --store "$work/src" migrate "$work/new.raw" --to "$work/dst" --compress "$level"
    done
    rm -rf "$work/src" "$work/dst"
done
