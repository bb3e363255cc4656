#!/bin/bash
# wan.sh [OPTION...] CASE PEER... - bring one disk image to another site over an emulated line.
#
# Two network namespaces with an sshd each and tests/lab/wanlab between them: rate, delay, loss.
# One run of each PEER on CASE (a to e, see cases.sh) for each combination of -b, -r and -l. PEER
# `all` is every one that is installed; `list` prints their names. Each run appends to RESULTS:
#
#   case  peer  mbit  rtt  loss  mib  rc  ok  wall  cores  sent  received  busy
#
# ok is yes when the result equals the image byte for byte. sent and received are the bytes that
# the relay carried there and back, IP and TCP headers, SSH and everything else included, the same
# for all. busy is the share of the line that was in use from two seconds after the start to the
# end, from a sample a second, which is kept in WORK/samples. cores is how many processors of this
# machine were busy on average, which runs both sides and whatever else it does.
#
#   -c DIR    images made by tests/lab/make-corpus.sh (default: corpus beside WORK)
#   -w DIR    working directory; on the same file system as the corpus
#   -o FILE   results (default WORK/wan.tsv)
#   -n N      runs (default 1)
#   -b LIST   Mbit/s (default 100)          -r LIST   round trip, ms (default 50)
#   -l LIST   loss in percent (default 0)   -t S      seconds after which a peer is stopped (900)
#   -q S      wait so long at most, before each run, for a moment when the machine is quiet (0)
#   -m MIB    use only so much from the beginning of each image (default 0: all)
#
# Needs root and `make all lab`. Peers are the Debian packages zstd rsync rdiff casync borgbackup
# restic. What the peers need at the other site (an index, a repository) is made before the clock
# starts.
set -u
here=$(cd "$(dirname "$0")" && pwd)
export LC_ALL=C

corpus='' work=${TMPDIR:-/var/tmp}/vmferry-wan results='' runs=1 limit=900 patience=0 rates=100 delays=50 losses=0 mib=0
while getopts c:w:o:n:b:r:l:t:m:q: o; do
    case $o in
    c) corpus=$OPTARG ;;
    w) work=$OPTARG ;;
    o) results=$OPTARG ;;
    n) runs=$OPTARG ;;
    b) rates=${OPTARG//,/ } ;;
    r) delays=${OPTARG//,/ } ;;
    l) losses=${OPTARG//,/ } ;;
    t) limit=$OPTARG ;;
    m) mib=$OPTARG ;;
    q) patience=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
mkdir -p "$work/samples" && work=$(cd "$work" && pwd) || exit 1
corpus=${corpus:-$work/../corpus}
results=${results:-$work/wan.tsv}

VMFERRY=$(realpath "${VMFERRY:-$here/../build/vmferry}")
lab=$here/../tests/lab/wanlab
export VF_LAB="${VF_LAB:-$here/../build/lab}" WANLAB_DIR=$work/lab
run_dir=$work/wan-run # emptied for each run
src=$run_dir/src      # the source host
dst=$run_dir/dst      # the destination host
export BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes BORG_RELOCATED_REPO_ACCESS_IS_OK=yes
export BORG_CACHE_DIR=$run_dir/borg-cache BORG_CONFIG_DIR=$run_dir/borg-config
export RESTIC_PASSWORD=x RESTIC_CACHE_DIR=$run_dir/restic-cache

# ---- one run --------------------------------------------------------------------------------

fresh() {
    local r
    rm -rf "$run_dir"
    mkdir -p "$src" "$dst" "$BORG_CONFIG_DIR"
    for r in "${residents[@]}"; do ln "$images/$r.raw" "$dst/$r.raw"; done
}

# Samples of what A has sent, two lines a second: seconds since the start, bytes.
sample() {
    local start=$1 now bytes
    while :; do
        # Asking takes some hundredths of a second; the counter is read in the middle of them.
        now=$(date +%s.%N)
        bytes=$("$lab" sent A)
        echo "$now $(date +%s.%N) $bytes" |
            awk -v s="$start" '{ printf "%.3f %s\n", ($1 + $2) / 2 - s, $3 }'
        sleep 0.45
    done
}

# at_a COMMAND...: in site A, timed; everything about the run goes to variables.
at_a() {
    local start end worked sampler sent0 received0
    quiet "$patience"
    sent0=$("$lab" sent A) received0=$("$lab" sent B) worked=$(busy_seconds)
    start=$(date +%s.%N)
    sample "$start" >"$run_dir/samples" &
    sampler=$!
    timeout "$limit" "$lab" exec A "$@" >"$run_dir/output" 2>&1
    rc=$?
    end=$(date +%s.%N)
    kill "$sampler"
    wait "$sampler" 2>/dev/null
    worked=$(awk -v a="$worked" -v b="$(busy_seconds)" 'BEGIN { print b - a }')
    sent=$(($("$lab" sent A) - sent0)) received=$(($("$lab" sent B) - received0))
    wall=$(awk -v a="$start" -v b="$end" 'BEGIN { printf "%.2f", b - a }')
    cores=$(awk -v t="$worked" -v w="$wall" 'BEGIN { printf "%.2f", t / w }')
    busy=$(awk -v w="$wall" -v all="$sent" -v base="$sent0" -v rate="$mbit" '
        { t = $1; b = $2 - base
          if (t <= 2) { lt = t; lb = b } else if (!done) {
              at2 = lb + (b - lb) * (2 - lt) / (t - lt); done = 1 } }
        END { if (!done || w <= 2.5) print "-"
              else printf "%.3f", (all - at2) * 8 / 1e6 / rate / (w - 2) }' "$run_dir/samples")
    awk -v base="$sent0" '{ print $1, $2 - base }' "$run_dir/samples" \
        >"$work/samples/$case.$peer.$mbit.$rtt.$loss"
}
at_a_sh() { at_a bash -c "set -e -o pipefail; $1"; }

# record NAME RESULT: check it and append the line.
record() {
    local ok=no
    if cmp -s "$2" "$image"; then ok=yes; else cp "$run_dir/output" "$work/failed.wan.$case.$peer.log"; fi
    printf '%s\t' "$case" "$1" "$mbit" "$rtt" "$loss" "$mib" "$rc" "$ok" "$wall" "$cores" "$sent" "$received" |
        tee -a "$results"
    echo "$busy" | tee -a "$results"
}

with_basis() { [ -n "$best" ]; }

# ---- the peers ------------------------------------------------------------------------------

vmferry_run() { # NAME [index]
    local r
    fresh
    for r in "${residents[@]}"; do
        "$VMFERRY" --store "$dst/store" index add "$dst/$r.raw" >/dev/null || return
    done
    [ -z "${2:-}" ] || "$VMFERRY" --store "$src/store" index add "$image" >/dev/null || return
    # shellcheck disable=SC2086 # a list of words
    at_a "$VMFERRY" -v --store "$src/store" --json migrate "$image" --as T.raw ${VMFERRY_OPTIONS:-} \
        --to "ssh://root@B$dst/store" --remote-program "$VMFERRY"
    record "$1" "$dst/store/images/T.raw"
}
peer_vmferry() { vmferry_run "vmferry"; }
peer_vmferry_indexed() { vmferry_run "vmferry (image indexed before)" index; }

zstd_full() { # LEVEL [OPTION]
    fresh
    at_a_sh "zstd -q -T0 -$1 ${2:-} -c '$image' | ssh B 'zstd -q -d -f ${2:-} -o $dst/T.raw'"
    record "zstd -T0 -$1${2:+ $2}" "$dst/T.raw"
}
peer_zstd1() { zstd_full 1; }
peer_zstd3() { zstd_full 3; }
peer_zstd3long() { zstd_full 3 --long=31; }

rsync_run() { # [OPTION]
    local basis=''
    fresh
    mkdir "$dst/basis"
    if with_basis; then
        ln "$dst/$best.raw" "$dst/basis/T.raw"
        basis=--copy-dest=$dst/basis
    fi
    ln "$image" "$src/T.raw"
    at_a rsync -z --sparse -I ${1:+"$1"} ${basis:+"$basis"} "$src/T.raw" "B:$dst/T.raw"
    record "rsync -z --sparse${basis:+ --copy-dest}${1:+ $1}" "$dst/T.raw"
}
peer_rsync() { rsync_run; }
peer_rsync4k() { with_basis && rsync_run -B4096; }

peer_rdiff() {
    with_basis || return 0
    fresh
    at_a_sh "ssh B 'rdiff -b 4096 signature $dst/$best.raw - | zstd -q -1' </dev/null | zstd -q -dc >'$src/sig'
        rdiff delta '$src/sig' '$image' - | zstd -q -3 |
            ssh B 'zstd -q -dc | rdiff -s patch $dst/$best.raw - $dst/T.raw'"
    record "rdiff -b 4096, zstd -3" "$dst/T.raw"
}

# The chunks are made at A, and fetched by B, which compares with what it has.
peer_casync() {
    local r seeds=''
    fresh
    for r in "${residents[@]}"; do seeds="$seeds --seed=$dst/$r.raw"; done
    at_a_sh "casync make --chunk-size=64K --store='$src/T.castr' '$src/T.caibx' '$image'
        ssh B casync extract $seeds --store=A:$src/T.castr A:$src/T.caibx $dst/T.raw"
    record "casync 64K (make, extract with seeds)" "$dst/T.raw"
}

peer_borg() {
    local r
    fresh
    borg init -e none "$dst/repo" >/dev/null 2>&1
    for r in "${residents[@]}"; do
        borg create -C zstd,3 "$dst/repo::$r" "$dst/$r.raw" >/dev/null 2>&1
    done
    rm -rf "$BORG_CACHE_DIR" # the source host knows nothing yet
    at_a_sh "cd '$images'
        borg create --rsh ssh -C zstd,3 'ssh://B/$dst/repo::T' '$target.raw'
        ssh B 'cd $dst && BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes BORG_RELOCATED_REPO_ACCESS_IS_OK=yes \
            BORG_CONFIG_DIR=$BORG_CONFIG_DIR BORG_CACHE_DIR=$run_dir/borg-cache2 borg extract --sparse $dst/repo::T'"
    record "borg (create, extract)" "$dst/$target.raw"
}

peer_restic() {
    local r
    fresh
    restic -q init --repository-version 2 -r "$dst/repo" >/dev/null
    for r in "${residents[@]}"; do restic -q backup -r "$dst/repo" "$dst/$r.raw" >/dev/null; done
    rm -rf "$RESTIC_CACHE_DIR"
    at_a_sh "restic -q backup -r 'sftp:B:$dst/repo' --tag T '$image'
        ssh B 'RESTIC_PASSWORD=x RESTIC_CACHE_DIR=$run_dir/restic-cache2 restic -q restore -r $dst/repo \
            --tag T --target $dst/out latest'"
    record "restic (backup, restore)" "$dst/out$image"
}

# ---- the list -------------------------------------------------------------------------------
declare -A needs=([vmferry]="$VMFERRY" [vmferry_indexed]="$VMFERRY" [zstd1]=zstd [zstd3]=zstd
    [zstd3long]=zstd [rsync]=rsync [rsync4k]=rsync [rdiff]=rdiff [casync]=casync [borg]=borg
    [restic]=restic)
all='vmferry vmferry_indexed zstd1 zstd3 zstd3long rsync rsync4k rdiff casync borg restic'

if [ "${1:-}" = list ]; then
    echo "$all"
    exit 0
fi
[ $# -ge 2 ] || { sed -n '2,/^set -/s/^# \{0,1\}//p' "$0" | head -n -1; exit 2; }
case=$1
shift
peers=$*
[ "$peers" != all ] || peers=$all
# shellcheck source=quiet.sh
. "$here/quiet.sh"
# shellcheck source=cases.sh
. "$here/cases.sh"
bench_case "$case" || exit 2
corpus=$(cd "$corpus" && pwd) || exit 1
for peer in $peers; do
    [ -n "${needs[$peer]:-}" ] || { echo "wan: no peer $peer: $0 list" >&2; exit 2; }
done

# The images, or their beginnings, where hard links to them can be made.
images=$corpus
if [ "$mib" -gt 0 ]; then
    images=$work/cut-$mib
    mkdir -p "$images"
    for r in "$target" "${residents[@]}"; do
        [ -e "$images/$r.raw" ] ||
            dd if="$corpus/$r.raw" of="$images/$r.raw" bs=1M count="$mib" conv=sparse status=none
    done
fi
image=$images/$target.raw
for r in "$target" "${residents[@]}"; do
    [ -r "$images/$r.raw" ] || { echo "wan: no $images/$r.raw" >&2; exit 1; }
    cat "$images/$r.raw" >/dev/null # into the page cache
done

trap '"$lab" down; rm -rf "$run_dir"' EXIT
trap 'exit 130' INT TERM
"$lab" up A B || exit 1
for ((i = 0; i < runs; i++)); do
    for mbit in $rates; do
        for rtt in $delays; do
            for loss in $losses; do
                "$lab" set -b "$mbit" -r "$rtt" -l "$loss" || exit 1
                for peer in $peers; do
                    if command -v "${needs[$peer]}" >/dev/null; then
                        "peer_$peer" || echo "wan: $peer could not be prepared in case $case" >&2
                    else
                        echo "wan: $peer: ${needs[$peer]} is not installed" >&2
                    fi
                done
            done
        done
    done
done
