#!/bin/bash
# peers.sh [-c CORPUS] [-w WORK] [-o RESULTS] [-n RUNS] [-a] [-d] [-s SECONDS] [-t SECONDS] [-q SECONDS] CASE PEER...
#
# Measure what it costs to bring one disk image to a place that already holds others: one run of
# each PEER on CASE (a to e, see cases.sh), -n times. PEER `all` is every one that is installed;
# `list` prints their names; `vmferry_with` is vmferry with the options in VMFERRY_OPTIONS. Each run
# appends a line to RESULTS (default WORK/results.tsv):
#
#   case  peer  rc  ok  wall  cpu  maxrss_kib  wire_up  wire_down  others
#
# ok is yes when the result equals the image byte for byte. cpu is user and system time of both
# sides without the counters; others is how many processors were busy with something else. Both
# sides are this machine, and rsh-count stands in for ssh: wall time is the cost of processors and
# disk, the wire columns are what a slow link would have to carry. `table.sh RESULTS` makes tables of it; README.md says how to read them.
#
#   -c  images made by tests/lab/make-corpus.sh (default: corpus beside WORK)
#   -w  working directory, emptied for each run; on the same file system as the corpus
#   -a  only what is missing: until RESULTS has RUNS good runs of each peer in this case
#   -s  seconds after which no further run is begun; exit 3 if there would have been one. With -a,
#       a long table can be made in pieces: repeat the command until it ends with 0
#   -d  from the disk: the kernel's caches are emptied before each run; root
#   -q  seconds to wait at most, before each run, for a moment when the machine is quiet (default 0)
#   -t  seconds after which a peer is stopped (default 600)
#
# Needs `make all lab`. Peers are the Debian packages zstd qemu-utils rsync rdiff xdelta3 casync
# borgbackup restic, and bdsync, which has to be built from its source.
set -u
export LC_ALL=C

corpus='' work=${TMPDIR:-/var/tmp}/vmferry-bench results='' runs=1 limit=600 patience=0 missing='' stop=0 cold=''
while getopts c:w:o:n:ads:t:q: o; do
    case $o in
    c) corpus=$OPTARG ;;
    w) work=$OPTARG ;;
    o) results=$OPTARG ;;
    n) runs=$OPTARG ;;
    a) missing=1 ;;
    d) cold=1 ;;
    s) stop=$OPTARG ;;
    t) limit=$OPTARG ;;
    q) patience=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
mkdir -p "$work" && work=$(cd "$work" && pwd) || exit 1
corpus=${corpus:-$work/../corpus}
results=${results:-$work/results.tsv}

run_dir=$work/run # emptied for each run
# shellcheck source=rivals.sh
. "$(dirname "$0")/rivals.sh"
METER=${METER:-$here/../build/lab/meter}
rsh=$here/rsh-count
export METER WIRELOG=$run_dir/wire.log
far="'$rsh' host"
# One connection: the counter of one that ends with the program has no time to write its line.
vmferry_way=(--to "ssh://host$dst/store" --ssh-command "$rsh" --streams 1)

# ---- one run --------------------------------------------------------------------------------

# timed COMMAND...: count what it costs.
timed() {
    : >"$WIRELOG"
    quiet "$patience"
    if [ -n "$cold" ]; then
        sync
        echo 3 >/proc/sys/vm/drop_caches || exit
    fi
    busy=$(busy_seconds)
    "$METER" run "$run_dir/run.log" run timeout "$limit" "$@" >"$run_dir/output" 2>&1
    busy=$(awk -v a="$busy" -v b="$(busy_seconds)" 'BEGIN { print b - a }')
}

# record NAME RESULT: check the result and append the line.
record() {
    local ok=no up down own
    is_good "$2" && ok=yes
    sleep 0.3 # the last counters of a pipe may still be on their way to the log
    read -r up down own < <(awk '{ u += $1; d += $2; c += $3 } END { printf "%.0f %.0f %.2f\n", u, d, c }' "$WIRELOG")
    awk -F'\t' -v OFS='\t' -v case="$case" -v peer="$1" -v ok="$ok" -v up="$up" -v down="$down" -v own="$own" -v busy="$busy" '
        { others = (busy - $4 - $5) / ($3 > 0.1 ? $3 : 0.1)
          print case, peer, $2, ok, $3, sprintf("%.2f", $4 + $5 - own), $6, up, down,
              sprintf("%.2f", others < 0 ? 0 : others) }' \
        "$run_dir/run.log" | tee -a "$results"
}

# ---- the peers that only this script has ----------------------------------------------------

# zstd with the basis as dictionary, which the source host must hold too. qcow2 files, because it
# refuses files of more than 2 GiB.
peer_zstdpatch() {
    with_basis || return 0
    fresh
    ln "$corpus/$best.qcow2" "$dst/basis.qcow2" || cp "$corpus/$best.qcow2" "$dst/basis.qcow2"
    timed_sh "zstd -q -3 -T0 --long=31 --patch-from='$corpus/$best.qcow2' -c '$corpus/$target.qcow2' |
        $far 'zstd -q -d -f --long=31 --memory=2048MB --patch-from=$dst/basis.qcow2 -o $dst/T.qcow2'"
    qemu-img convert -O raw "$dst/T.qcow2" "$dst/T.raw"
    record "zstd -3 --patch-from (basis on both sides)" "$dst/T.raw"
}

peer_qcow2() {
    fresh
    timed_sh "qemu-img convert -W -m 4 -c -f raw -O qcow2 -o compression_type=zstd '$image' '$src/T.qcow2'
        $far 'cat >$dst/T.qcow2' <'$src/T.qcow2'"
    qemu-img convert -O raw "$dst/T.qcow2" "$dst/T.raw"
    record "qemu-img convert -c (zstd), copied" "$dst/T.raw"
}

# What the storage copy of a live migration does: allocated data as it is. The server's processor
# time is not in the numbers.
peer_nbd() {
    local server relay
    fresh
    truncate -s "$(stat -c %s "$image")" "$dst/T.raw"
    qemu-nbd -f raw -x T -p 10811 -b 127.0.0.1 --discard=unmap "$dst/T.raw" &
    server=$!
    "$METER" tcp 10812 10811 "$WIRELOG" &
    relay=$!
    sleep 0.5
    timed qemu-img convert -n --target-is-zero -f raw -O raw "$image" nbd://127.0.0.1:10812/T
    sleep 0.5
    kill "$relay"
    wait "$server" "$relay" 2>/dev/null
    # these counters ran outside of what was timed: nothing to take off
    sed -i 's/[^\t]*$/0/' "$WIRELOG"
    record "qemu-img convert to NBD" "$dst/T.raw"
}

rsync_copy_dest() { # [OPTION]
    with_basis || return 0
    fresh
    mkdir "$dst/basis"
    ln "$dst/$best.raw" "$dst/basis/T.raw"
    ln "$image" "$src/T.raw" || cp --sparse=always "$image" "$src/T.raw"
    timed rsync -z --sparse -I ${1:+"$1"} --copy-dest="$dst/basis" -e "$rsh" "$src/T.raw" host:"$dst/T.raw"
    record "rsync -z --sparse --copy-dest${1:+ $1}" "$dst/T.raw"
}
peer_rsync() { rsync_copy_dest; }
peer_rsync4k() { rsync_copy_dest -B4096; }
peer_rsync_inplace() {
    with_basis || return 0
    fresh
    timed_sh "cp --sparse=always '$dst/$best.raw' '$dst/T.raw'
        rsync -z --inplace -I -e '$rsh' '$image' host:'$dst/T.raw'"
    record "copy of the basis, rsync -z --inplace" "$dst/T.raw"
}
peer_rsync_new() {
    fresh
    timed rsync -z --sparse -e "$rsh" "$image" host:"$dst/T.raw"
    record "rsync -z --sparse (no basis)" "$dst/T.raw"
}

peer_bdsync() {
    with_basis || return 0
    fresh
    timed_sh "cp --sparse=always '$dst/$best.raw' '$dst/T.raw'
        bdsync -b 4096 --zeroblocks '$rsh host bdsync -s' '$image' '$dst/T.raw' | zstd -q -3 |
            $far 'zstd -q -dc | bdsync --patch=$dst/T.raw'"
    record "copy of the basis, bdsync -b 4096, zstd -3" "$dst/T.raw"
}
peer_xdelta3() { # the source host must hold the basis too
    with_basis || return 0
    fresh
    timed_sh "xdelta3 -e -c -1 -S none -B 2147483648 -s '$corpus/$best.raw' '$image' | zstd -q -3 |
        $far 'zstd -q -dc | xdelta3 -d -c -B 2147483648 -s $dst/$best.raw >$dst/T.raw'"
    record "xdelta3 -1, zstd -3 (basis on both sides)" "$dst/T.raw"
}
peer_casync() {
    local r seeds=''
    fresh
    for r in "${residents[@]}"; do seeds="$seeds --seed='$dst/$r.raw'"; done
    CASYNC_SSH_PATH=$rsh timed_sh "casync make --chunk-size=64K --store='$src/T.castr' '$src/T.caibx' '$image'
        casync extract $seeds --store=host:'$src/T.castr' host:'$src/T.caibx' '$dst/T.raw'"
    record "casync 64K (make, extract with seeds)" "$dst/T.raw"
}
peer_borg() {
    fresh
    borg_repository
    timed_sh "cd '$corpus'
        borg create --rsh '$rsh' -C zstd,3 'ssh://host/$dst/repo::T' '$target.raw'
        cd '$dst'
        BORG_CACHE_DIR='$run_dir/borg-cache2' borg extract --sparse '$dst/repo::T'"
    record "borg (create, extract)" "$dst/$target.raw"
}
peer_restic() {
    fresh
    restic_repository
    timed_sh "restic -q backup -o sftp.command='$rsh host /usr/lib/openssh/sftp-server' -r 'sftp:host:$dst/repo' --tag T '$image'
        RESTIC_CACHE_DIR='$run_dir/restic-cache2' restic -q restore -r '$dst/repo' --tag T --target '$dst/out' latest"
    record "restic (backup, restore)" "$dst/out$(realpath "$image")"
}

# ---- the list -------------------------------------------------------------------------------
all='vmferry vmferry_indexed vmferry_1g vmferry_plain zstd1 zstd3 zstd3long zstdpatch qcow2 nbd
    rsync rsync4k rsync_inplace rsync_new bdsync rdiff xdelta3 casync borg restic'

wanted "$@"
corpus=$(cd "$corpus" && pwd) || exit 1
images=$corpus image=$corpus/$target.raw
[ -x "$METER" ] || { echo "peers: no $METER: run 'make lab'" >&2; exit 1; }
for f in "$target" "${residents[@]}"; do
    [ -r "$corpus/$f.raw" ] || { echo "peers: no $corpus/$f.raw: see tests/lab/make-corpus.sh" >&2; exit 1; }
done

# have PEER: how many good runs RESULTS has of it. It has the peers' long names, so each run leaves
# a line with both in RESULTS.names.
have() {
    [ -n "$missing" ] && [ -f "$results" ] && [ -f "$results.names" ] || { echo 0; return; }
    awk -F'\t' -v case="$case" -v peer="$1" '
        NR == FNR { if ($1 == peer) names[$2]; next }
        $1 == case && $3 == 0 && $4 == "yes" && ($2 in names) { n++ }
        END { print n + 0 }' "$results.names" "$results"
}

# one PEER: a run of it, if that is wanted.
one() {
    local lines
    [ "$(have "$1")" -le "$2" ] || return 0
    if [ "$stop" -gt 0 ] && [ $SECONDS -ge "$stop" ]; then
        echo "peers: time is up before $1 in case $case" >&2
        exit 3
    fi
    lines=$(wc -l <"$results")
    "peer_$1" || echo "peers: $1 could not be prepared in case $case" >&2
    tail -n "+$((lines + 1))" "$results" | awk -F'\t' -v peer="$1" '{ print peer "\t" $2 }' >>"$results.names"
}

trap 'rm -rf "$run_dir"' EXIT
touch "$results"
for ((i = 0; i < runs; i++)); do
    for peer in $peers; do
        is_installed "$peer" || continue
        one "$peer" "$i"
    done
done
