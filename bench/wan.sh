#!/bin/bash
# wan.sh [OPTION...] CASE PEER... - bring one disk image to another site over an emulated line.
#
# Two network namespaces with an sshd each and tests/lab/wanlab between them: rate, delay, loss.
# One run of each PEER on CASE (a to e, see cases.sh) for each combination of -b, -r and -l. PEER
# `all` is every one that is installed; `list` prints their names; `vmferry_with` is vmferry with
# the options in VMFERRY_OPTIONS. Each run appends to RESULTS:
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

run_dir=$work/wan-run # emptied for each run
# shellcheck source=rivals.sh
. "$(dirname "$0")/rivals.sh"
lab=$here/../tests/lab/wanlab
export VF_LAB="${VF_LAB:-$here/../build/lab}" WANLAB_DIR=$work/lab
far='ssh B'
vmferry_way=(--to "ssh://root@B$dst/store")

# ---- one run --------------------------------------------------------------------------------

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

# timed COMMAND...: in site A; everything about the run goes to variables.
timed() {
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

# record NAME RESULT: check it and append the line.
record() {
    local ok=no
    is_good "$2" && ok=yes
    printf '%s\t' "$case" "$1" "$mbit" "$rtt" "$loss" "$mib" "$rc" "$ok" "$wall" "$cores" "$sent" "$received" |
        tee -a "$results"
    echo "$busy" | tee -a "$results"
}

# ---- the peers that only this script has ----------------------------------------------------

rsync_run() { # [OPTION]
    local basis=''
    fresh
    mkdir "$dst/basis"
    if with_basis; then
        ln "$dst/$best.raw" "$dst/basis/T.raw"
        basis=--copy-dest=$dst/basis
    fi
    ln "$image" "$src/T.raw"
    timed rsync -z --sparse -I ${1:+"$1"} ${basis:+"$basis"} "$src/T.raw" "B:$dst/T.raw"
    record "rsync -z --sparse${basis:+ --copy-dest}${1:+ $1}" "$dst/T.raw"
}
peer_rsync() { rsync_run; }
peer_rsync4k() { with_basis || return 0; rsync_run -B4096; }

# The chunks are made at A, and fetched by B, which compares with what it has.
peer_casync() {
    local r seeds=''
    fresh
    for r in "${residents[@]}"; do seeds="$seeds --seed=$dst/$r.raw"; done
    timed_sh "casync make --chunk-size=64K --store='$src/T.castr' '$src/T.caibx' '$image'
        ssh B casync extract $seeds --store=A:$src/T.castr A:$src/T.caibx $dst/T.raw"
    record "casync 64K (make, extract with seeds)" "$dst/T.raw"
}

peer_borg() {
    fresh
    borg_repository
    timed_sh "cd '$images'
        borg create --rsh ssh -C zstd,3 'ssh://B/$dst/repo::T' '$target.raw'
        ssh B 'cd $dst && BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes BORG_RELOCATED_REPO_ACCESS_IS_OK=yes \
            BORG_CONFIG_DIR=$BORG_CONFIG_DIR BORG_CACHE_DIR=$run_dir/borg-cache2 borg extract --sparse $dst/repo::T'"
    record "borg (create, extract)" "$dst/$target.raw"
}

peer_restic() {
    fresh
    restic_repository
    timed_sh "restic -q backup -r 'sftp:B:$dst/repo' --tag T '$image'
        ssh B 'RESTIC_PASSWORD=x RESTIC_CACHE_DIR=$run_dir/restic-cache2 restic -q restore -r $dst/repo \
            --tag T --target $dst/out latest'"
    record "restic (backup, restore)" "$dst/out$image"
}

# ---- the list -------------------------------------------------------------------------------
all='vmferry vmferry_indexed zstd1 zstd3 zstd3long rsync rsync4k rdiff casync borg restic'

wanted "$@"
corpus=$(cd "$corpus" && pwd) || exit 1

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
                    is_installed "$peer" || continue
                    "peer_$peer" || echo "wan: $peer could not be prepared in case $case" >&2
                done
            done
        done
    done
done
