#!/bin/sh
# timeout: 240
# A domain of libvirt that writes much while its disks travel over a slow line: what changed goes in rounds,
# and a disk that it cannot write travels once.
. "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"
VF_GUEST_PERIOD=3000
. "$VF_TESTS/e2e/_live.sh"

fixed=/srv/vm/images/fixed.raw
live_guest() {
    vf_bytes 7 "${live_fixed}M" >"$vf_tmp/g.img"
    truncate -s "${live_disk}M" "$vf_tmp/g.img"
    at A cp --sparse=always "$vf_tmp/g.img" "$live_image"
    rm "$vf_tmp/g.img"
    vf_bytes 33 24M | at A tee $fixed >/dev/null
    libvirt_guest A g "disk=raw:$live_image" "words=offset=$VF_GUEST_OFFSET" \
        "xml=<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='$fixed'/>
            <target dev='vdb' bus='virtio'/><readonly/></disk>"
    guest_wrote "$live_log_A" 20
}

live_up libvirt -r 20 -b 100
# shellcheck disable=SC2046 # a list of words
vf_expect_exit 0 vmferry_at A migrate --vm g --to ssh://B/srv/vm --remote-program "$VMFERRY" \
    --compress none --limit-rate 5M --json -v
json_true "$VF_OUT" '.rounds >= 1 and (.disks | length) == 2'
echo "rounds: $(json_get "$VF_OUT" .rounds)"
live_runs_at B
vf_bytes 33 24M >"$vf_tmp/fixed"
at B cmp "$vf_tmp/fixed" $fixed || fail "the read-only disk"
live_judge B
