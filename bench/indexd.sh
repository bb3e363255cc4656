#!/bin/bash
# indexd.sh [-w WORK] [-i IMAGE] [-n PAIRS] [-s SECONDS] [-m IMAGES] [PART...] - what the service
# costs others, and how soon it is done. PARTs (default: all):
#
#   reads   random reads of 4 KiB by another process on the same disk, without and with the service
#           reading a large image that is not cached, in turns (-n pairs of -s seconds each; the
#           service is stopped by a signal meanwhile, so that both see the same machine)
#   idle    memory and processor time with -m images (default 1000) that do not change
#   soon    time from the end of copying IMAGE into the store until it is read (settle time: 5 s), and
#           until it is in the index; beside it the time to read the file once
#
# IMAGE: a large disk image (default: corpus/deb12-dev.raw beside WORK). WORK is on the disk that is
# measured. Needs `make all lab`, root only for nothing. Prints a table as it goes.
set -eu
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
work=${TMPDIR:-/var/tmp}/vmferry-indexd image='' pairs=15 seconds=2 images=1000
while getopts w:i:n:s:m: o; do
    case $o in
    w) work=$OPTARG ;;
    i) image=$OPTARG ;;
    n) pairs=$OPTARG ;;
    s) seconds=$OPTARG ;;
    m) images=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- reads idle soon
mkdir -p "$work" && work=$(cd "$work" && pwd)
image=${image:-$work/../corpus/deb12-dev.raw}
vmferry=${VMFERRY:-$here/../build/vmferry}
randread=$here/../build/lab/randread
export VMFERRY_STORE=$work/store
pid=
end() {
    [ -z "$pid" ] || { kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; } || :
    pid=
}
trap 'end; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

fresh_store() { # [LINE...]: settings
    end
    rm -rf "$VMFERRY_STORE"
    mkdir -p "$VMFERRY_STORE/images"
    { printf '[indexd]\nlibvirt-pools = no\n' && [ $# -eq 0 ] || printf '%s\n' "$@"; } >"$VMFERRY_STORE/vmferry.conf"
}
begin() {
    "$vmferry" indexd -q &
    pid=$!
}
until_status() { until "$vmferry" indexd status --json 2>/dev/null | jq -e "$1" >/dev/null; do sleep 0.05; done; }
drop() { dd if="$1" iflag=nocache count=0 status=none; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
peak() { awk -v n="$1:" '$1 == n { printf "%.1f", $2 / 1024 }' "/proc/$pid/status"; }

read_so_far() { "$vmferry" indexd status --metrics | awk '/^vmferry_indexd_read_bytes_total/ { printf "%.0f", $2 }'; }

reads() { # NAME SETTING...
    local name=$1
    shift
    fresh_store "$@"
    cp "$image" "$VMFERRY_STORE/images/big.raw"
    : >"$work/off"
    : >"$work/on"
    drop "$VMFERRY_STORE/images/big.raw"
    begin
    until_status '.reading != []'
    bytes=0
    for _ in $(seq "$pairs"); do
        if "$vmferry" indexd status --json | jq -e '.reading == []' >/dev/null; then # once more
            end
            rm -rf "$VMFERRY_STORE/index"
            drop "$VMFERRY_STORE/images/big.raw"
            begin
            until_status '.reading != []'
        fi
        kill -STOP "$pid"
        "$randread" "$work/victim" "$seconds" >>"$work/off"
        kill -CONT "$pid"
        sleep 0.3
        bytes=$((bytes - $(read_so_far)))
        "$randread" "$work/victim" "$seconds" >>"$work/on"
        bytes=$((bytes + $(read_so_far)))
    done
    end
    off=$(cut -d' ' -f1 "$work/off" | median)
    on=$(cut -d' ' -f1 "$work/on" | median)
    printf '| %s | %s | %s | %s | %s / %s | %s / %s | %.0f |\n' "$name" "$off" "$on" \
        "$(awk -v a="$off" -v b="$on" 'BEGIN { printf "%+.1f %%", (b / a - 1) * 100 }')" \
        "$(cut -d' ' -f2 "$work/off" | median)" "$(cut -d' ' -f2 "$work/on" | median)" \
        "$(cut -d' ' -f3 "$work/off" | median)" "$(cut -d' ' -f3 "$work/on" | median)" \
        "$(awk -v b="$bytes" -v n="$pairs" -v s="$seconds" 'BEGIN { print b / n / s / 1e6 }')"
}

part_reads() {
    cp "$image" "$work/victim"
    sync "$work/victim"
    echo '| settings | reads/s without | with | change | median us | 99 % us | service reads, MB/s |'
    echo '|---|--:|--:|--:|--:|--:|--:|'
    reads 'default' 'settle = 200ms'
    reads 'no pauses' 'settle = 200ms' 'io-pressure = 0' 'cpu-pressure = 0'
    reads 'no pauses, no rate limit' 'settle = 200ms' 'io-pressure = 0' 'cpu-pressure = 0' 'read-rate = 0'
    rm -f "$work/victim"
}

part_idle() {
    fresh_store 'settle = 200ms' 'io-pressure = 0' 'cpu-pressure = 0' 'scan-interval = 2s'
    for i in $(seq "$images"); do
        head -c 1M /dev/zero | openssl enc -aes-128-ctr -nosalt -K "$(printf %032x "$i")" -iv 0 \
            2>/dev/null >"$VMFERRY_STORE/images/$i.raw"
    done
    begin
    until_status ".images.fresh == $images"
    printf '%s images: indexed, at most %s MiB of memory\n' "$images" "$(peak VmHWM)"
    cp "$image" "$VMFERRY_STORE/images/big.raw"
    until_status ".images.fresh == $((images + 1))"
    printf '%s images and a large one: at most %s MiB, then %s MiB\n' "$images" "$(peak VmHWM)" "$(peak VmRSS)"
    end
    begin
    until_status '.scan.count >= 6'
    "$vmferry" indexd status --json | jq -r \
        '"a scan of \(.images.total): \(.scan.cpu_seconds) s of processor time, \(.scan.seconds) s"'
    printf 'service that has nothing to do: %s MiB\n' "$(peak VmRSS)"
    end
}

soon() { # NAME CACHED SETTING...
    local name=$1 cached=$2
    shift 2
    fresh_store 'settle = 5s' "$@"
    begin
    until_status '.scan.count > 0'
    cp "$image" "$VMFERRY_STORE/images/new.raw"
    sync "$VMFERRY_STORE/images/new.raw"
    [ "$cached" = yes ] || drop "$VMFERRY_STORE/images/new.raw"
    start=$(date +%s.%N)
    until_status '.reading != []'
    reading=$(date +%s.%N)
    until_status '.images.fresh == 1'
    stop=$(date +%s.%N)
    paused=$("$vmferry" indexd status --json | jq .paused_seconds)
    [ "$cached" = yes ] || drop "$VMFERRY_STORE/images/new.raw"
    once=$({ TIMEFORMAT=%R; time cat "$VMFERRY_STORE/images/new.raw" >/dev/null; } 2>&1)
    awk -v n="$name" -v c="$cached" -v a="$start" -v r="$reading" -v b="$stop" -v p="$paused" \
        -v o="$once" 'BEGIN { printf "| %s | %s | %.1f | %.1f | %.1f | %.1f |\n", n, c, r - a, b - r, p, o }'
}

part_soon() {
    echo '| settings | cached | begins after, s | read and indexed in, s | of these paused, s | read once by cat, s |'
    echo '|---|---|--:|--:|--:|--:|'
    for cached in no yes; do
        soon 'default' $cached
        soon 'no pauses' $cached 'io-pressure = 0' 'cpu-pressure = 0'
        soon 'no pauses, no rate limit' $cached 'io-pressure = 0' 'cpu-pressure = 0' 'read-rate = 0'
    done
}

for part; do
    "part_$part"
done
