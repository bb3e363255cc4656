#!/bin/sh
# The laboratory itself: a writing guest moves between two sites by QEMU's and by libvirt's own
# means, nothing is lost, its judge says so, and the judge sees a write that is missing.
. "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"
. "$VF_TESTS/lab/guest.sh"
libvirt_up -r 4 -b 0
guest_build

# QEMU by hand: memory from site to site, the disk is seen by both
a=$vf_tmp/a b=$vf_tmp/b
truncate -s 72M "$vf_tmp/base"
guest_qemu A "$a" "disk=raw:$vf_tmp/base"
guest_console A "$a/serial" "$a.log"
guest_qemu B "$b" "disk=raw:$vf_tmp/base" -- -incoming tcp:10.77.0.2:4444
guest_console B "$b/serial" "$b.log"
guest_wrote "$a.log" 20
# In one pass: this QEMU damages memory that it sends more often, which it does on a busy machine
# (hypervisor/README.md).
guest_qmp A "$a/qmp2" migrate-set-parameters '{"downtime-limit":20000}' >/dev/null
guest_qmp A "$a/qmp2" migrate '{"uri":"tcp:10.77.0.2:4444"}' >/dev/null
guest_wrote "$b.log" 20
guest_stands "$a.log"
looks=$(guest_qmp A "$a/qmp2" query-migrate | jq '.ram["dirty-sync-count"]')
[ "$looks" -le 3 ] || fail "QEMU has looked $looks times which pages were written"
down=$(guest_downtime "$a.log" "$b.log")
[ "$down" -gt 0 ] && [ "$down" -lt 20000 ] || fail "a downtime of $down ms"
guest_stop B "$b"
guest_judge "$vf_tmp/base" raw "$a.log" "$b.log"
guest_stop A "$a"

# the judge is not asleep: the last record but one, and a block
last=$(guest_acked "$b.log")
for place in $((1048576 + (last - 2) * 512)):512 67108864:4194304; do
    cp --sparse=always "$vf_tmp/base" "$vf_tmp/bad"
    dd if=/dev/zero of="$vf_tmp/bad" bs=512 seek="${place%:*}" count="${place#*:}" conv=notrunc \
        oflag=seek_bytes iflag=count_bytes status=none
    vf_expect_exit 1 "$VF_LAB/guestlog" check "$vf_tmp/bad" "$last"
done

# libvirt's own migration, with its storage copy, which waits for a moment without writes
VF_GUEST_PERIOD=150000
pool=/var/lib/libvirt/images
for s in A B; do
    qemu-img create -q -f qcow2 "$(site_file $s $pool/g.qcow2)" 72M
    guest_console $s /run/libvirt/g.serial "$vf_tmp/$s.log"
done
libvirt_guest A g "disk=qcow2:$pool/g.qcow2"
guest_wrote "$vf_tmp/A.log" 5
virsh_at A migrate-setmaxdowntime g 20000 >"$VF_OUT" 2>"$VF_ERR" || fail "in one pass, too"
virsh_at A migrate --live --p2p --copy-storage-all --persistent --undefinesource g \
    qemu+ssh://B/system >"$VF_OUT" 2>"$VF_ERR" || fail "libvirt's migration"
guest_wrote "$vf_tmp/B.log" 5
virsh_at B destroy g >/dev/null
guest_judge "$(site_file B $pool/g.qcow2)" qcow2 "$vf_tmp/A.log" "$vf_tmp/B.log"
