# shellcheck shell=sh
# _vm.sh - what tests share that move running guests between two stores of this machine. After
# e2e/_lib.sh:
#
#   vm_sites                                  settings of both stores; the consoles' logs are
#                                             $vf_tmp/src.log and $vf_tmp/dst.log
#   vm_guest NAME FORMAT:FILE... [words=...]  a guest of the source that writes; its directory is
#                                             $vf_tmp/a, its QMP socket $vf_tmp/a/qmp

. "$VF_TESTS/lab/guest.sh"

# What a store runs to take a guest: the same machine as vm_guest starts, on the store's disks.
# Words: QMP-SOCKET, [ro:]FORMAT:DISK..., "--", and -incoming's.
_vm_start_script() { # SITE
    cat <<SCRIPT
#!/bin/sh
set -eu
$(guest_disk_sh)
dir=$vf_tmp/$1.q
qmp=\$1
shift
mkdir -p "\$dir"
cp "$vf_tmp/args.machine" "\$dir/args"
sed -i "s|@DIR@|\$dir|g" "\$dir/args"
printf '%s\n' -qmp "unix:\$qmp,server=on,wait=off" >>"\$dir/args"
n=0
while [ "\$1" != -- ]; do
    guest_disk \$n "\$1" >>"\$dir/args"
    n=\$((n + 1))
    shift
done
shift
for a; do printf '%s\n' "\$a" >>"\$dir/args"; done
tr '\n' '\0' <"\$dir/args" >"\$dir/args0"
exec xargs -0 -a "\$dir/args0" qemu-system-x86_64
SCRIPT
}

_vm_end_all() {
    for vf_q in "$vf_tmp/a" "$vf_tmp/src.q" "$vf_tmp/dst.q"; do
        [ ! -s "$vf_q/pid" ] || kill -KILL "$(cat "$vf_q/pid")" 2>/dev/null
    done
}

# vm_settings DISK-FORMAT...: both stores take guests with such disks, behind VF_GUEST_DRIVES others.
vm_settings() {
    for vf_s in src dst; do
        vf_n=${VF_GUEST_DRIVES:-0}
        vf_line=
        for vf_f; do
            vf_line="$vf_line $vf_f:{disk$vf_n}"
            vf_n=$((vf_n + 1))
        done
        printf '[qmp]\nstart = %s/start.%s {qmp}%s -- {incoming}\n' "$vf_tmp" "$vf_s" "$vf_line" \
            >"$vf_tmp/$vf_s/vmferry.conf"
    done
}

# A failed test says what the guest said last: the directory is gone when its log is read.
_vm_last_words() {
    #
    [ "$vf_status" -ne 0 ] && [ "$vf_status" -ne 77 ] || return 0
    for vf_s in src dst; do
        echo "---- $vf_s" && tail -n 30 "$vf_tmp/$vf_s.log"
    done >&2
}

vm_sites() {
    guest_build
    mkdir -p "$vf_src/images" "$vf_dst/images"
    chmod 700 "$vf_src" "$vf_dst" "$vf_src/images" "$vf_dst/images"
    vf_on_exit _vm_end_all
    vf_on_exit _vm_last_words
    for vf_s in src dst; do
        _vm_start_script $vf_s >"$vf_tmp/start.$vf_s"
        chmod +x "$vf_tmp/start.$vf_s"
        # One console after the other: a QEMU there may be started many times.
        : >"$vf_tmp/$vf_s.log"
        (while :; do "$VF_LAB/guestcon" "$vf_tmp/$vf_s.q/serial" "$vf_tmp/$vf_s.log"; done) \
            </dev/null >/dev/null 2>&1 &
        vf_on_exit "pkill -P $!; kill $! 2>/dev/null"
    done
}

# vm_guest NAME [ro:]FORMAT:FILE... [words=KERNEL-WORDS]; VF_GUEST_FILL: so much of each disk holds random
# bytes, where the guest does not write: the same in all, or with VF_GUEST_DISTINCT those of vf_bytes 7,
# 8 and so on.
vm_guest() {
    shift
    vf_seed=7
    mkdir -p "$vf_tmp/a"
    vf_words=
    vf_formats=
    vf_disks=
    for vf_a; do
        case $vf_a in
        words=*) vf_words=${vf_a#words=} ;;
        ro:*) # random bytes that nobody changes
            vf_formats="$vf_formats ${vf_a%:*}"
            vf_disks="$vf_disks disk=${vf_a%:*}:$vf_tmp/a/${vf_a##*:}"
            vf_bytes 33 2M >"$vf_tmp/a/${vf_a##*:}"
            ;;
        *)
            vf_formats="$vf_formats ${vf_a%%:*}"
            vf_disks="$vf_disks disk=${vf_a%%:*}:$vf_tmp/a/${vf_a#*:}"
            qemu-img create -q -f "${vf_a%%:*}" "$vf_tmp/a/${vf_a#*:}" "${VF_GUEST_DISK:-96M}"
            [ -n "${VF_GUEST_FILL:-}" ] || continue
            vf_bytes $vf_seed "$VF_GUEST_FILL" >"$vf_tmp/fill"
            [ -z "${VF_GUEST_DISTINCT:-}" ] || vf_seed=$((vf_seed + 1))
            qemu-io -f "${vf_a%%:*}" "$vf_tmp/a/${vf_a#*:}" \
                -c "write -q -s $vf_tmp/fill 32M $VF_GUEST_FILL" || fail "qemu-io"
            ;;
        esac
    done
    guest_args @DIR@ "$vf_words" >"$vf_tmp/args.machine"
    # shellcheck disable=SC2086 # lists of words
    {
        vm_settings $vf_formats
        guest_console - "$vf_tmp/a/serial" "$vf_tmp/src.log"
        guest_qemu - "$vf_tmp/a" $vf_disks "words=$vf_words"
    }
    guest_wrote "$vf_tmp/src.log" 20
}

# Has it ended?  So has one that its parent has not waited for yet, which kill -0 would find.
_vm_quit() { ! grep -q '^State:.[^ZX]' "/proc/$1/status" 2>/dev/null; }

# vm_gone DIR: its QEMU has ended, or does so soon.
_vm_has_ended() { [ ! -s "$1/pid" ] || _vm_quit "$(cat "$1/pid")"; }
vm_gone() {
    vf_wait_for 60 _vm_has_ended "$1" && return
    vf_pid=$(cat "$1/pid")
    for vf_t in "/proc/$vf_pid/task"/*; do # what it does instead
        echo "$(cat "$vf_t/comm") $(cat "$vf_t/wchan") $(cut -c1-60 "$vf_t/syscall")"
    done >&2
    fail "a second QEMU is left: $1"
}

# vm_end SITE: the guest stands still and its QEMU ends, so that its disks can be judged.
vm_end() {
    vf_pid=$(cat "$vf_tmp/$1/pid")
    guest_qmp - "$vf_tmp/$1/qmp2" stop >/dev/null || fail "stop"
    sleep 0.3 # for the console
    guest_qmp - "$vf_tmp/$1/qmp2" quit >/dev/null || :
    vf_wait_for 10 _vm_quit "$vf_pid" || fail "QEMU does not end"
}

# no_overlays: nothing of a move lies beside any disk.
no_overlays() {
    vf_found=$(find "$vf_tmp/a" "$vf_src/images" "$vf_dst/images" -name '*.vmferry-*' -o \
        -name '*.delta')
    [ -z "$vf_found" ] || fail "left: $vf_found"
}

# vm_judge IMAGE FORMAT [TAG]: every write to it that any console acknowledged is there.
vm_judge() {
    cat "$vf_tmp/src.log" "$vf_tmp/dst.log" >"$vf_tmp/all.log"
    [ -z "${3:-}" ] || sed -i -e 's/ T / - /' -e "s/ T:$3 / T /" "$vf_tmp/all.log"
    guest_judge "$1" "$2" "$vf_tmp/all.log"
}
