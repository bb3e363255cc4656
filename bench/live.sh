#!/bin/sh
# live.sh [-n RUNS] [-r RTT_MS] [-b MBIT] downtime
# live.sh [-n RUNS] [-r RTT_MS] [-b MBIT] storage NEW OLD
#
# Running guests that move between two sites of the laboratory (tests/lab), side by side with what others
# do. Root; QEMU without KVM. Each run has new sites and a new guest; one row for each run and the medians.
#
#   downtime   what the guest's console shows: plain QEMU migration (tcp, a disk that both sites see)
#              against vmferry by QMP and by libvirt (disk and memory). Default 5 runs, 50 ms, 1000 Mbit/s.
#   storage    bytes on the line and time of `virsh migrate --live --copy-storage-all` against vmferry
#              with the same libvirt domain, whose disk is the raw image NEW and 128 MiB more that
#              the guest writes to; the raw image OLD lies at the destination, and vmferry has it indexed there.
#              Default 1 run, 20 ms, 1000 Mbit/s. The guest writes five times a second: for a busier one
#              libvirt's copy comes to no end.
set -u
here=$(cd "$(dirname "$0")" && pwd)
VF_TESTS=$here/../tests

# ---- one run ----------------------------------------------------------------------
plain() {
    . "$VF_TESTS/lab/guest.sh"
    lab_up -r "$rtt" -b "$rate"
    guest_build
    truncate -s 96M "$vf_tmp/disk"
    a=$vf_tmp/a b=$vf_tmp/b
    guest_qemu A "$a" "disk=raw:$vf_tmp/disk"
    guest_console A "$a/serial" "$a.log"
    guest_qemu B "$b" "disk=raw:$vf_tmp/disk" -- -incoming tcp:10.77.0.2:4444
    guest_console B "$b/serial" "$b.log"
    guest_wrote "$a.log" 100
    guest_qmp A "$a/qmp2" migrate-set-parameters \
        '{"max-bandwidth":125000000000,"downtime-limit":300}' >/dev/null
    guest_qmp A "$a/qmp2" migrate '{"uri":"tcp:10.77.0.2:4444"}' >/dev/null
    guest_wrote "$b.log" 20
    guest_downtime "$a.log" "$b.log"
    guest_stop B "$b"
    guest_judge "$vf_tmp/disk" raw "$a.log" "$b.log"
}

ours() { # KIND
    . "$VF_TESTS/e2e/_live.sh"
    live_up "$1" -r "$rtt" -b "$rate"
    guest_wrote "$live_log_A" 100
    live_move A B
    guest_downtime "$live_log_A" "$live_log_B"
    live_judge B
}

big_disk() { # IMAGE SITE: the guest's disk
    at "$2" cp --sparse=always "$1" "$live_image"
    at "$2" truncate -s +128M "$live_image"
}

# ours and libvirt's: prints bytes, seconds and the console's downtime
storage() { # ours|libvirt NEW OLD
    live_format=raw live_fixed=$(($(stat -c %s "$2") >> 20))
    VF_GUEST_PERIOD=200000
    . "$VF_TESTS/e2e/_live.sh"
    new=$2 old=$3
    eval "live_guest() { big_disk '$new' A
        libvirt_guest A g disk=raw:$live_image words=offset=$VF_GUEST_OFFSET
        guest_wrote '$live_log_A' 20; }"
    live_up libvirt -r "$rtt" -b "$rate" -w 33554432
    if [ "$1" = ours ]; then
        at B cp --sparse=always "$old" /srv/vm/images/old.raw
        vmferry_at B -q index add /srv/vm/images/old.raw
    else
        at B truncate -s "$(at A stat -c %s "$live_image")" "$live_image"
    fi
    before=$(wire_bytes)
    start=$(date +%s%N)
    if [ "$1" = ours ]; then
        # shellcheck disable=SC2046 # a list of words
        vf_expect_exit 0 vmferry_at A $(live_args B)
    else
        virsh_at A migrate --live --p2p --copy-storage-all --persistent --undefinesource g \
            qemu+ssh://B/system >"$VF_OUT" 2>"$VF_ERR" || fail "libvirt's migration"
    fi
    ms=$((($(date +%s%N) - start) / 1000000))
    after=$(wire_bytes)
    guest_wrote "$live_log_B" 20
    echo "$((after - before)) $ms $(guest_downtime "$live_log_A" "$live_log_B")"
    at B pkill -KILL qemu-system || :
    vf_wait_for 10 _live_no_qemu B
    at B "$VF_LAB/guestlog" check "$live_image" "$(guest_acked "$live_log_A" "$live_log_B")" \
        "$VF_GUEST_OFFSET" >"$VF_OUT" 2>&1 || fail "the judge: $(cat "$VF_OUT")"
}

if [ "${1:-}" = --one ]; then
    rtt=$2 rate=$3
    shift 3
    . "$VF_TESTS/lib/functions.sh"
    case $1 in
    plain) plain ;;
    qmp | libvirt) ours "$1" ;;
    storage) shift && storage "$@" ;;
    esac
    exit
fi

# ---- all of them -------------------------------------------------------------------
runs='' rtt='' rate=1000
while getopts n:r:b: o; do
    case $o in
    n) runs=$OPTARG ;;
    r) rtt=$OPTARG ;;
    b) rate=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
one() { "$0" --one "$rtt" "$rate" "$@" 2>"$tmp/err" || { cat "$tmp/err" >&2 && echo failed; }; }
median() { grep -v failed "$1" | sort -n | awk -v f="${2:-1}" '{ v[NR] = $f } END { print v[int((NR + 1) / 2)] }'; }

case ${1:-} in
downtime)
    : "${runs:=5}" "${rtt:=50}"
    echo "downtime on the console, ms; $rtt ms, $rate Mbit/s; load $(cut -d' ' -f1-3 /proc/loadavg)"
    printf '%-5s %12s %12s %12s\n' run plain qmp libvirt
    for n in $(seq "$runs"); do
        for kind in plain qmp libvirt; do one $kind | tee -a "$tmp/$kind" >"$tmp/$kind.now"; done
        printf '%-5s %12s %12s %12s\n' "$n" "$(cat "$tmp/plain.now")" "$(cat "$tmp/qmp.now")" \
            "$(cat "$tmp/libvirt.now")"
    done
    printf '%-5s %12s %12s %12s\n' median "$(median "$tmp/plain")" "$(median "$tmp/qmp")" \
        "$(median "$tmp/libvirt")"
    ;;
storage)
    : "${runs:=1}" "${rtt:=20}"
    [ $# -eq 3 ] || { echo "live.sh storage NEW OLD" >&2 && exit 2; }
    echo "MB on the line, s, ms of downtime; $rtt ms, $rate Mbit/s; load $(cut -d' ' -f1-3 /proc/loadavg)"
    for n in $(seq "$runs"); do
        for kind in libvirt ours; do
            one storage $kind "$(realpath "$2")" "$(realpath "$3")" | tee -a "$tmp/$kind" |
                awk -v k="$kind" -v n="$n" '{ printf "%d %-8s %10.1f %8.1f %8d\n", n, k, $1 / 1e6, $2 / 1e3, $3 }'
        done
    done
    for f in 1 2 3; do
        echo "median of column $f: libvirt $(median "$tmp/libvirt" $f), vmferry $(median "$tmp/ours" $f)"
    done
    ;;
*) sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0" && exit 2 ;;
esac
