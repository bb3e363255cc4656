#!/bin/sh
# timeout: 240
# A domain of libvirt whose disks have an iothread, one by virtio-scsi and one by virtio-blk, moves there and
# back; where its QEMU would die of being read, it is not.
. "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"
VF_GUEST_IOTHREAD=1
live_format=qcow2
. "$VF_TESTS/e2e/_live.sh"

second=/srv/vm/images/second.raw
live_guest() {
    qemu-img create -q -f qcow2 "$vf_tmp/g.img" "${live_disk}M"
    at A cp "$vf_tmp/g.img" "$live_image"
    at A truncate -s "${live_disk}M" $second
    libvirt_guest A g "disk=raw:$second" \
        "xml=<controller type='scsi' index='0' model='virtio-scsi'><driver iothread='1'/></controller>
            <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='$live_image'/>
            <target dev='sda' bus='scsi'/></disk>" "words=logdev=sda,vda offset=$VF_GUEST_OFFSET"
    guest_wrote "$live_log_A" 20
}

live_up libvirt -r 20 -b 1000
virsh_at A iothreadinfo g >"$vf_tmp/threads"
grep -q '^ *1 ' "$vf_tmp/threads" || fail "it has no iothread: $(cat "$vf_tmp/threads")"
if [ "$(virsh_at A version | sed -n 's/^Running hypervisor: QEMU \([0-9]*\).*/\1/p')" -lt 9 ]; then
    # shellcheck disable=SC2046 # a list of words
    vf_expect_exit 1 vmferry_at A $(live_args B) --dry-run
    json_is "$VF_OUT" .error.code unsupported
    guest_goes_on "$live_log_A"
fi
live_move A B
live_move B A
live_judge A
at A cat $second >"$vf_tmp/second.raw"
cat "$live_log_A" "$live_log_B" | sed -e 's/ T / - /' -e 's/ T:vda / T /' >"$vf_tmp/vda.log"
guest_judge "$vf_tmp/second.raw" raw "$vf_tmp/vda.log"
