# shellcheck shell=sh
# _live.sh - what tests share that move running guests between two sites of the laboratory, each with an
# sshd, and with libvirt where that is asked for. After lib/functions.sh:
#
#   live_up qmp|libvirt [-r RTT -b RATE...]   sites A and B with a store each, and the guest "g" in A,
#                                             writing all the time to a disk of $live_disk MiB
#   live_move A B [OPTION...]                 vmferry migrate --vm; its report is $VF_OUT
#   live_judge B                              stops the guest there and judges its disk
#
# Everything is in /srv/vm, the store, which is private to each site; the disk is an image in it.
# $live_log_A and $live_log_B are what the guest said in each site; a console is read as long as the site
# lives, so a guest may come and go.

. "$VF_TESTS/lab/guest.sh"

live_disk=${live_disk:-96}     # MiB, of which guestlog has all behind the first live_fixed
live_fixed=${live_fixed:-16}   # MiB that nobody changes
live_format=${live_format:-raw}
live_log_A=$vf_tmp/A.log
live_log_B=$vf_tmp/B.log
live_image=/srv/vm/images/g.$live_format
VF_GUEST_OFFSET=$((live_fixed << 20))

# What a site runs to take a guest, and to start it at first: QMP-SOCKET FORMAT:DISK [ARGUMENT...]
_live_start_script() {
    guest_args /srv/q "offset=$VF_GUEST_OFFSET ${live_words:-}" | sed '/^unix:.*\/qmp,/d' |
        awk '{ if (held == "-qmp" && $0 !~ /^unix:/) held = ""; if (held != "") print held
               held = $0 } END { print held }' >"$vf_tmp/machine"
    cat >"$vf_tmp/start" <<SCRIPT
#!/bin/sh
set -eu
$(guest_disk_sh)
mkdir -p /srv/q
rm -f /srv/q/serial /srv/q/qmp2
qmp=\$1 disk=\$2
shift 2
{
    cat "$vf_tmp/machine"
    printf '%s\n' -qmp "unix:\$qmp,server=on,wait=off"
    guest_disk 0 "\$disk"
    for a; do printf '%s\n' "\$a"; done
} | tr '\n' '\0' >/srv/q/args
exec xargs -0 -a /srv/q/args qemu-system-x86_64
SCRIPT
    chmod +x "$vf_tmp/start"
}

# The console of a site, whenever there is one.
_live_console() { # SITE SOCKET LOG
    : >"$3"
    # shellcheck disable=SC2016 # the inner shell expands
    at "$1" sh -c 'while :; do "$1" "$2" "$3"; sleep 0.05; done' sh "$VF_LAB/guestcon" "$2" "$3" \
        </dev/null >/dev/null 2>&1 &
}

# A failed test says what the guest said last, and its QEMUs: the directory is gone when its log is read.
_live_last_words() {
    # shellcheck disable=SC2154 # vf_status comes from vf_run_cleanup
    [ "$vf_status" -ne 0 ] && [ "$vf_status" -ne 77 ] || return 0
    for vf_s in A B; do
        echo "---- $vf_s: $(at $vf_s pgrep -a qemu-system 2>/dev/null | cut -c1-60)"
        tail -n 30 "$(live_log $vf_s)" 2>/dev/null
        [ "$live_kind" != libvirt ] || virsh_at $vf_s domjobinfo g --completed 2>/dev/null
    done >&2
}

# live_up KIND [OPTION of wanlab...]
live_up() {
    live_kind=$1
    shift
    if [ "$live_kind" = libvirt ]; then
        libvirt_up "$@" -m /srv
        live_serial=/run/libvirt/g.serial
    else
        lab_up "$@" -m /srv
        live_serial=/srv/q/serial
    fi
    vf_on_exit _live_last_words
    guest_build
    _live_start_script
    for vf_s in A B; do
        [ -z "${live_tmpfs:-}" ] || at $vf_s mount -t tmpfs -o "size=$live_tmpfs" live /srv
        at $vf_s mkdir -p /srv/vm/images
        printf '[qmp]\nstart = %s/start {qmp} {format0}:{disk0} {incoming}\n[libvirt]\naccept = yes\n' \
            "$vf_tmp" | at $vf_s tee /srv/vm/vmferry.conf >/dev/null
    done
    _live_console A $live_serial "$live_log_A"
    _live_console B $live_serial "$live_log_B"
    live_guest
}

# live_guest: a new disk in A, and the guest on it.
live_guest() {
    vf_bytes 7 "${live_fixed}M" >"$vf_tmp/g.raw"
    truncate -s "${live_disk}M" "$vf_tmp/g.raw"
    qemu-img convert -f raw -O "$live_format" "$vf_tmp/g.raw" "$vf_tmp/g.img"
    at A cp --sparse=always "$vf_tmp/g.img" "$live_image"
    rm "$vf_tmp/g.raw" "$vf_tmp/g.img"
    if [ "$live_kind" = libvirt ]; then
        libvirt_guest A g "disk=$live_format:$live_image" "words=offset=$VF_GUEST_OFFSET"
    else
        at A sh -c '"$1/start" /srv/q.qmp "$2" >/srv/q.out 2>&1 &' sh "$vf_tmp" \
            "$live_format:$live_image" </dev/null
    fi
    guest_wrote "$live_log_A" 20
}

# vmferry_at SITE ARGUMENT...: with that site's store.
vmferry_at() {
    vf_site=$1
    shift
    at "$vf_site" env HOME=/root "$VMFERRY" --store /srv/vm "$@"
}

# live_args TO: the arguments of a move from here to there.
live_args() {
    echo "migrate --vm g --to ssh://$1/srv/vm --remote-program $VMFERRY --replace --json -v"
}

# live_qmp SITE: how vmferry finds the first guest's QEMU, which it has not started itself.
live_qmp() {
    if [ "$live_kind" = qmp ] && at "$1" test -S /srv/q.qmp; then
        echo "--qmp /srv/q.qmp"
    fi
}

# live_move FROM TO [OPTION...]: must succeed.
live_move() {
    vf_from=$1
    vf_to=$2
    shift 2
    # shellcheck disable=SC2046 # lists of words
    vf_expect_exit 0 vmferry_at "$vf_from" $(live_args "$vf_to") $(live_qmp "$vf_from") "$@"
    json_is "$VF_OUT" .running_at destination
    json_true "$VF_OUT" '.live and all(.disks[]; .verified) and .downtime_seconds < 20'
    [ "$live_kind" != qmp ] || at "$vf_from" rm -f /srv/q.qmp
    live_runs_at "$vf_to"
    live_clean "$vf_from"
    live_clean "$vf_to"
}

# live_log SITE: the file name.
live_log() { eval echo "\$live_log_$1"; }

# live_runs_at SITE: there, and only there.
live_runs_at() {
    case $1 in A) vf_other=B ;; *) vf_other=A ;; esac
    guest_goes_on "$(live_log "$1")"
    guest_stands "$(live_log $vf_other)"
}

# live_tell: what the hypervisors say of the guest, when it is not where it should be.
live_tell() {
    [ "$live_kind" = libvirt ] || return 0
    for vf_s in A B; do
        echo "$vf_s: $(virsh_at $vf_s domstate g --reason 2>&1)"
        tail -n 4 "$(site_file $vf_s /var/log/libvirt/qemu/g.log)" 2>/dev/null
        virsh_at $vf_s qemu-monitor-command g '{"execute":"query-block-jobs"}' 2>&1
        tail -n 2 "$(live_log $vf_s)"
    done >&2
}

# live_clean SITE: no overlay, socket or tunnel of a move is left there.
live_clean() {
    vf_left=$(at "$1" find /srv/vm -name '*.vmferry-*' -o -name '*.delta' -o -name '*.part' -o \
        -name move.json -o -name '*.out')
    [ -z "$vf_left" ] || fail "left in $1: $vf_left"
    ! at "$1" pgrep -x vmferry >/dev/null || fail "a vmferry still runs in $1"
}

# live_judge SITE: the guest there is stopped for good; every write that any console acknowledged is in
# its disk, and what nobody changes is as it was.
live_judge() {
    at "$1" pkill -STOP qemu-system || :
    sleep 0.3 # for the console
    at "$1" pkill -KILL qemu-system || :
    vf_wait_for 10 _live_no_qemu "$1" || fail "QEMU does not end in $1"
    at "$1" cat "$live_image" >"$vf_tmp/judge.img"
    guest_judge "$vf_tmp/judge.img" "$live_format" "$live_log_A" "$live_log_B"
    if [ "$live_format" = raw ]; then
        vf_bytes 7 "${live_fixed}M" | cmp -n $((live_fixed << 20)) - "$vf_tmp/judge.img" ||
            fail "content that nobody wrote has changed"
    fi
    rm -f "$vf_tmp/judge.img"
}
_live_no_qemu() { ! at "$1" pgrep qemu-system >/dev/null; }
