#!/bin/sh
# timeout: 240
# A running guest with two disks, a read-only one, a shared one and CD-ROMs moves through sshd to another
# store and back: no acknowledged write is lost, the way back sends little, nothing is left behind at
# either end.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
. "$VF_TESTS/e2e/_vm.sh"

vm_sites
# Beside its disks: a CD-ROM, an empty drive, and a disk that both nodes see.
vf_bytes 44 1M >"$vf_tmp/cd.iso"
vf_bytes 45 1M >"$vf_tmp/shared.raw"
VF_GUEST_ARGS="-blockdev
driver=file,node-name=cdfile,filename=$vf_tmp/cd.iso,read-only=on
-blockdev
driver=raw,node-name=cd,file=cdfile,read-only=on
-device
ide-cd,id=cd0,drive=cd,bus=ide.0
-device
ide-cd,id=cd1,bus=ide.1
-blockdev
driver=file,node-name=shfile,filename=$vf_tmp/shared.raw,locking=off
-blockdev
driver=raw,node-name=sh,file=shfile
-device
virtio-blk-pci,id=sh0,drive=sh,share-rw=on"
VF_GUEST_DRIVES=3
VF_GUEST_FILL=4M
vm_guest g1 raw:a.raw qcow2:b.qcow2 ro:raw:c.raw words=logdev=vdb,vdc
ssh_node

# shellcheck disable=SC2086 # $vf_reach is a list of words
vf_expect_exit 0 "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_to" $vf_reach \
    --leave shared.raw --json
cp "$VF_OUT" "$vf_tmp/there.json"
json_is "$VF_OUT" '[.running_at, .kind, (.disks | length)] | join(" ")' "destination qmp 6"
json_is "$VF_OUT" '[.disks[].way] | join(" ")' "leave empty leave copy copy copy"
vf_bytes 33 2M | cmp - "$vf_dst/images/c.raw" || fail "the read-only disk"
[ "$(ls "$vf_dst/images")" = "a.raw
b.qcow2
c.raw" ] || fail "what travelled: $(ls "$vf_dst/images")"
json_true "$VF_OUT" '.downtime_seconds > 0 and .downtime_seconds < 10 and .wire_bytes_sent > 0'
json_true "$VF_OUT" 'all(.disks[] | select(.way == "copy"); .verified and .zero_blocks + .shared_blocks + .duplicate_blocks +
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
cp "$vf_tmp/a/a.raw" "$vf_tmp/a/b.qcow2" "$vf_tmp/a/c.raw" "$vf_src/images/"
vf_expect_exit 0 "$VMFERRY" index add "$vf_src/images/a.raw" "$vf_src/images/b.qcow2" \
    "$vf_src/images/c.raw"
vf_expect_exit 4 "$VMFERRY" --store "$vf_dst" migrate --vm g1 --to "$vf_src" --leave shared.raw --json
json_is "$VF_OUT" .error.code exists
for how in '' --dry-run; do
    vf_expect_exit 2 "$VMFERRY" --store "$vf_dst" migrate --vm g1 --to "$vf_src" --replace --offline --json $how
    json_is "$VF_OUT" .error.message "the guest runs: leave --offline out"
done
guest_goes_on "$vf_tmp/dst.log"
# A guest that its user has stopped stays stopped.
guest_qmp - "$vf_tmp/dst.q/qmp2" stop >/dev/null
vf_expect_exit 0 "$VMFERRY" --store "$vf_dst" migrate --vm g1 --to "$vf_src" --replace \
    --leave shared.raw --json
json_is "$VF_OUT" .running_at destination
# Only what changed travels: at most 5 % of the way there, and two blocks of 4 KiB for each write since.
sent() { json_get "$1" '[.disks[].literal_blocks // 0] | add'; }
there=$(sent "$vf_tmp/there.json")
back=$(sent "$VF_OUT")
wrote=$(cat "$vf_tmp/dst.log" | grep -c ' T')
[ "$there" -ge 12288 ] || fail "only $there literals on the way there"
[ "$back" -le $((there / 20 + wrote * 16)) ] || fail "$back literals on the way back ($wrote writes)"
echo "literals: $there there, $back back, $wrote writes between"
[ "$(guest_qmp - "$vf_tmp/src.q/qmp2" query-status | jq -r .status)" = paused ] || fail "it runs"
guest_qmp - "$vf_tmp/src.q/qmp2" cont >/dev/null
guest_goes_on "$vf_tmp/src.log"
[ ! -e "$vf_dst/run/vm-g1" ] || fail "left at the other store: $(ls "$vf_dst/run/vm-g1")"
no_overlays
no_litter

vm_end src.q
vm_judge "$vf_src/images/a.raw" raw
vm_judge "$vf_src/images/b.qcow2" qcow2 vdc
vf_bytes 45 1M | cmp - "$vf_tmp/shared.raw" || fail "the shared disk"
