# shellcheck shell=sh
# guest.sh - sites and writing guests, for tests that move running machines. After lib/functions.sh:
#
#   . "$VF_TESTS/lab/guest.sh"
#   lab_up -r 20 -b 1000              # sites A and B, taken down on exit; skips where that cannot be
#   guest_build                       # the guest's kernel; $vf_guest is where it lies
#   guest_qemu A "$vf_tmp/a" disk=raw:/path/base [-- QEMU-ARGUMENT...]
#   guest_console A "$vf_tmp/a/serial" "$vf_tmp/a.log"
#   guest_wrote "$vf_tmp/a.log" 50    # wait until it has written so often
#   ...move it to B...
#   guest_judge IMAGE FORMAT A-LOG B-LOG
#   guest_downtime A-LOG B-LOG        # milliseconds between A's last line and B's first
#
# or with libvirt in both sites: libvirt_up, libvirt_guest A NAME disk=qcow2:NAME.qcow2, `at A virsh ...`.
#
# What a site runs ends with it. Paths must be short: those of Unix sockets end at 107 bytes.

vf_wanlab=$VF_TESTS/lab/wanlab

# lab_can: skip unless namespaces and TUN devices can be had.
lab_can() {
    requires_root
    requires unshare --net --mount --pid --fork true
    requires ip -V
    requires nsenter --version
    (: >/dev/net/tun) 2>/dev/null || skip "TUN devices are not allowed here"
}

# lab_up [OPTION...]: sites A and B with `wanlab up`'s options.
lab_up() {
    lab_can
    WANLAB_DIR=$vf_tmp/lab
    export WANLAB_DIR
    vf_on_exit '"$vf_wanlab" down'
    "$vf_wanlab" up "$@" A B || fail "the lab does not start"
}

# at SITE COMMAND...: in that site; without lab_up there are none, and it is this machine.
at() {
    if [ "${WANLAB_DIR:-}" ]; then
        "$vf_wanlab" exec "$@"
    else
        shift
        "$@"
    fi
}

# wire_bytes: what both sites have put on the line so far.
wire_bytes() { echo $(($("$vf_wanlab" sent A) + $("$vf_wanlab" sent B))); }

# guest_build: the kernel and its first files; skips where the package cannot be had.
guest_build() {
    requires qemu-system-x86_64 -version
    vf_guest=$VF_LAB/guest
    "$VF_TESTS/lab/mkguest" "$vf_guest" >"$VF_OUT" 2>"$VF_ERR" || skip "$(tail -n 1 "$VF_ERR")"
}

# guest_args DIR [KERNEL-WORDS]: the QEMU arguments of a guest but for its disks, one on a line. In
# DIR are then the sockets qmp, qmp2 (for the test itself) and serial, and the file pid. VF_GUEST_ARGS:
# more of them.
guest_args() {
    cat <<ARGS
-machine
pc-q35-7.2,accel=tcg
-cpu
qemu64
-m
${VF_GUEST_RAM:-160}
-nodefaults
-no-user-config
-display
none
-pidfile
$1/pid
-qmp
unix:$1/qmp,server=on,wait=off
-qmp
unix:$1/qmp2,server=on,wait=off
-chardev
socket,id=ser,path=$1/serial,server=on,wait=off
-serial
chardev:ser
-kernel
$vf_guest/vmlinuz
-initrd
$vf_guest/initrd
-append
console=ttyS0 quiet period=${VF_GUEST_PERIOD:-20000} ${2:-}
ARGS
    [ -z "${VF_GUEST_ARGS:-}" ] || printf '%s\n' "$VF_GUEST_ARGS"
}

# guest_disk N [ro:]FORMAT:FILE: the QEMU arguments of that disk, one on a line: the nodes diskN (format) and
# fileN, and the device vdN. VF_GUEST_IOTHREAD: each has an iothread of its own. VF_GUEST_SCSI: the numbers
# of those that are SCSI disks, each with a controller of its own; the guest calls them sda and so on.
guest_disk() {
    vf_spec=$2
    vf_how=discard=unmap
    vf_thread=${VF_GUEST_IOTHREAD:+,iothread=io$1}
    case $vf_spec in ro:*) vf_spec=${vf_spec#ro:} vf_how=read-only=on ;; esac
    printf '%s\n' -blockdev "driver=file,node-name=file$1,filename=${vf_spec#*:},$vf_how" \
        -blockdev "driver=${vf_spec%%:*},node-name=disk$1,file=file$1,$vf_how"
    [ -z "$vf_thread" ] || printf '%s\n' -object "iothread,id=io$1"
    case " ${VF_GUEST_SCSI:-} " in
    *" $1 "*)
        printf '%s\n' -device "virtio-scsi-pci,id=scsi$1$vf_thread" \
            -device "scsi-hd,id=vd$1,bus=scsi$1.0,drive=disk$1"
        ;;
    *) printf '%s\n' -device "virtio-blk-pci,id=vd$1,drive=disk$1$vf_thread" ;;
    esac
}

# guest_disk_sh: lines for a script that starts a guest, after which it has guest_disk as it is here.
guest_disk_sh() {
    printf '%s\n' "VF_TESTS='$VF_TESTS'" "VF_GUEST_IOTHREAD='${VF_GUEST_IOTHREAD:-}'" \
        "VF_GUEST_SCSI='${VF_GUEST_SCSI:-}'" ". '$VF_TESTS/lab/guest.sh'"
}

# guest_qemu SITE DIR disk=[ro:]FORMAT:FILE... [words=KERNEL-WORDS] [-- ARGUMENT...]: start QEMU in the
# background; DIR is made. The disks are those of guest_disk.
guest_qemu() {
    vf_site=$1
    vf_dir=$2
    shift 2
    mkdir -p "$vf_dir"
    vf_n=0
    vf_words=
    : >"$vf_dir/args.disks"
    while [ $# -gt 0 ]; do
        case $1 in
        disk=*)
            guest_disk $vf_n "${1#disk=}" >>"$vf_dir/args.disks"
            vf_n=$((vf_n + 1))
            ;;
        words=*) vf_words=${1#words=} ;;
        --)
            shift
            break
            ;;
        *) fail "guest_qemu: $1" ;;
        esac
        shift
    done
    guest_args "$vf_dir" "$vf_words" >"$vf_dir/args"
    cat "$vf_dir/args.disks" >>"$vf_dir/args"
    for vf_a; do printf '%s\n' "$vf_a" >>"$vf_dir/args"; done
    tr '\n' '\0' <"$vf_dir/args" >"$vf_dir/args0"
    # shellcheck disable=SC2016 # the inner shell expands
    at "$vf_site" sh -c 'xargs -0 -a "$1/args0" qemu-system-x86_64 -daemonize' sh "$vf_dir" \
        >"$vf_dir/qemu.out" 2>&1 || fail "QEMU does not start: $(cat "$vf_dir/qemu.out")"
}

# guest_stop SITE DIR: kill that QEMU, if it runs.
guest_stop() {
    [ -s "$2/pid" ] || return 0
    # shellcheck disable=SC2016 # the inner shell expands
    at "$1" sh -c 'kill -KILL "$1" && while kill -0 "$1"; do sleep 0.02; done' sh "$(cat "$2/pid")" \
        2>/dev/null || :
    rm -f "$2/pid"
}

# guest_console SITE SOCKET LOG: note in LOG what the guest prints, with times. May be called before the
# socket is there.
guest_console() {
    : >>"$3"
    at "$1" "$VF_LAB/guestcon" "$2" "$3" </dev/null >/dev/null 2>&1 &
}

# guest_qmp SITE SOCKET COMMAND [ARGUMENTS]: one QMP command; prints what it returns.
guest_qmp() {
    at "$1" "$VF_LAB/guestqmp" "$2" "$3" "${4:-{\}}"
}

# guest_acked LOG...: the highest acknowledged write.
guest_acked() { cat "$@" | awk '$2 == "T" && $3 > n { n = $3 } END { print n + 0 }'; }

_guest_at() { [ "$(guest_acked "$1")" -ge "$2" ]; }
_guest_lines() { [ "$(grep -c ' T ' "$1")" -ge "$2" ]; }

# guest_wrote LOG N [SECONDS]: wait until LOG has N acknowledged writes; fails after 60 seconds.
guest_wrote() {
    vf_wait_for "${3:-60}" _guest_lines "$1" "$2" ||
        fail "the guest does not write: $(tail -n 3 "$1")"
}

# guest_goes_on LOG: fails unless further writes are acknowledged there.
guest_goes_on() {
    vf_now=$(guest_acked "$1")
    vf_wait_for 20 _guest_at "$1" $((vf_now + 5)) || fail "the guest stands still: $1"
}

# guest_stands LOG: fails when the guest still writes there.
guest_stands() {
    vf_now=$(guest_acked "$1")
    sleep 1
    [ "$(guest_acked "$1")" = "$vf_now" ] || fail "the guest runs where it must not: $1"
}

# guest_downtime A-LOG B-LOG: milliseconds between the last line at A and the first at B.
guest_downtime() {
    awk 'FNR == 1 { file++ } $2 == "T" { if (file == 1) a = $1; else { print int(($1 - a) * 1000)
        exit } }' "$1" "$2"
}

# guest_judge IMAGE FORMAT LOG...: fails unless every acknowledged write is in the image, which nobody
# may have open for writing. VF_GUEST_OFFSET: as offset= on the guest's command line.
guest_judge() {
    vf_image=$1
    vf_fmt=$2
    shift 2
    if [ "$vf_fmt" != raw ]; then
        qemu-img convert -f "$vf_fmt" -O raw "$vf_image" "$vf_tmp/judged.raw" ||
            fail "cannot read $vf_image"
        vf_image=$vf_tmp/judged.raw
    fi
    "$VF_LAB/guestlog" check "$vf_image" "$(guest_acked "$@")" "${VF_GUEST_OFFSET:-0}" >"$VF_OUT" 2>&1 ||
        fail "the judge: $(tail -n 3 "$VF_OUT")"
    rm -f "$vf_tmp/judged.raw"
}

# ---- libvirt ---------------------------------------------------------------------

# libvirt_up [OPTION...]: lab_up, then a libvirtd in each site. /var/lib/libvirt/images is the pool
# "default", and private to the site, like everything of libvirt.
libvirt_up() {
    lab_can
    requires virsh --version
    [ -x /usr/sbin/libvirtd ] || skip "libvirtd is not installed"
    # shellcheck disable=SC2046 # a list of words
    lab_up "$@" $("$VF_TESTS/lab/libvirt-site" dirs)
    "$VF_TESTS/lab/libvirt-site" up A B || fail "no libvirt"
}

# site_file SITE PATH: where a private path of that site lies when seen from outside.
site_file() { echo "$WANLAB_DIR/$1/private$2"; }

# virsh_at SITE ARGUMENT...
virsh_at() {
    vf_site=$1
    shift
    at "$vf_site" virsh -q -c qemu:///system "$@" </dev/null
}

# libvirt_xml NAME disk=FORMAT:PATH... [words=KERNEL-WORDS] [xml=MORE-DEVICES]: a domain. The console
# is the socket /run/libvirt/NAME.serial of its site. VF_GUEST_IOTHREAD: all disks share an iothread.
libvirt_xml() {
    vf_name=$1
    shift
    vf_words=
    vf_devices=
    vf_letter=a
    vf_thread=${VF_GUEST_IOTHREAD:+ iothread=\'1\'}
    for vf_a; do
        case $vf_a in
        disk=*)
            vf_spec=${vf_a#disk=}
            vf_devices="$vf_devices
    <disk type='file' device='disk'><driver name='qemu' type='${vf_spec%%:*}' discard='unmap'$vf_thread/>
      <source file='${vf_spec#*:}'/><target dev='vd$vf_letter' bus='virtio'/></disk>"
            vf_letter=$(echo "$vf_letter" | tr a-y b-z)
            ;;
        words=*) vf_words=${vf_a#words=} ;;
        xml=*) vf_devices="$vf_devices
    ${vf_a#xml=}" ;;
        *) fail "libvirt_xml: $vf_a" ;;
        esac
    done
    cat <<XML
<domain type='qemu'>
  <name>$vf_name</name>
  <memory unit='MiB'>${VF_GUEST_RAM:-160}</memory>
  <vcpu>1</vcpu>
  ${vf_thread:+<iothreads>1</iothreads>}
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <kernel>$vf_guest/vmlinuz</kernel>
    <initrd>$vf_guest/initrd</initrd>
    <cmdline>console=ttyS0 quiet period=${VF_GUEST_PERIOD:-20000} $vf_words</cmdline>
  </os>
  <cpu mode='custom' match='exact'><model fallback='forbid'>qemu64</model></cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>$vf_devices
    <serial type='unix'><source mode='bind' path='/run/libvirt/$vf_name.serial'/>
      <target port='0'/></serial>
    <memballoon model='none'/>
  </devices>
</domain>
XML
}

# libvirt_guest SITE NAME ARGUMENT... (as libvirt_xml): define and start it.
libvirt_guest() {
    vf_at=$1
    shift
    libvirt_xml "$@" >"$vf_tmp/$1.xml"
    { virsh_at "$vf_at" define "$vf_tmp/$1.xml" && virsh_at "$vf_at" start "$1"; } \
        >"$VF_OUT" 2>"$VF_ERR" || fail "the domain does not start"
}
