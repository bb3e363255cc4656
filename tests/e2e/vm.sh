#!/bin/sh
# timeout: 240
# A running guest with two disks moves through sshd to another store and back: no acknowledged write is
# lost, the way back sends little, nothing is left behind at either end.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
. "$VF_TESTS/e2e/_vm.sh"

vm_sites
vm_guest g1 raw:a.raw qcow2:b.qcow2 words=logdev=vda,vdb
ssh_node

# shellcheck disable=SC2086 # $vf_reach is a list of words
vf_expect_exit 0 "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_to" $vf_reach --json
cp "$VF_OUT" "$vf_tmp/there.json"
json_is "$VF_OUT" '[.running_at, .kind, (.disks | length)] | join(" ")' "destination qmp 2"
json_true "$VF_OUT" '.downtime_seconds > 0 and .downtime_seconds < 10 and .wire_bytes_sent > 0'
json_true "$VF_OUT" 'all(.disks[]; .verified and .zero_blocks + .shared_blocks + .duplicate_blocks +
    .literal_blocks == .blocks)'
guest_goes_on "$vf_tmp/dst.log"
vm_gone "$vf_tmp/a"
[ ! -e "$vf_src/run/vm-g1" ] || fail "left at the source: $(ls "$vf_src/run/vm-g1")"
no_overlays

# What it left is indexed, and equal to what the index says.
vf_expect_exit 0 "$VMFERRY" index check
vf_expect_exit 0 "$VMFERRY" migrate --vm g1 --status --store "$vf_dst" --json
json_is "$VF_OUT" '[.state, .phase, .came_here, .moving] | join(" ")' "running none true false"

# And back, over what is there of it.
cp "$vf_tmp/a/a.raw" "$vf_tmp/a/b.qcow2" "$vf_src/images/"
vf_expect_exit 0 "$VMFERRY" index add "$vf_src/images/a.raw" "$vf_src/images/b.qcow2"
vf_expect_exit 4 "$VMFERRY" --store "$vf_dst" migrate --vm g1 --to "$vf_src" --json
json_is "$VF_OUT" .error.code exists
guest_goes_on "$vf_tmp/dst.log"
# A guest that its user has stopped stays stopped.
guest_qmp - "$vf_tmp/dst.q/qmp2" stop >/dev/null
vf_expect_exit 0 "$VMFERRY" --store "$vf_dst" migrate --vm g1 --to "$vf_src" --replace --json
json_is "$VF_OUT" .running_at destination
json_true "$VF_OUT" '([.disks[].shared_blocks] | add) > 0'
[ "$(guest_qmp - "$vf_tmp/src.q/qmp2" query-status | jq -r .status)" = paused ] || fail "it runs"
guest_qmp - "$vf_tmp/src.q/qmp2" cont >/dev/null
guest_goes_on "$vf_tmp/src.log"
[ ! -e "$vf_dst/run/vm-g1" ] || fail "left at the other store: $(ls "$vf_dst/run/vm-g1")"
no_overlays
no_litter

vm_end src.q
vm_judge "$vf_src/images/a.raw" raw
vm_judge "$vf_src/images/b.qcow2" qcow2 vdb
