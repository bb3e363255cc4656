#!/bin/sh
# timeout: 240
# A guest that writes much while its disks travel, and is reset meanwhile: what changed goes in rounds, each
# shorter than the one before, and little is left for the moment when it stands still. A disk that nobody
# writes travels once.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
. "$VF_TESTS/e2e/_vm.sh"

vm_sites
VF_GUEST_PERIOD=3000
VF_GUEST_DISK=192M
VF_GUEST_FILL=30M
vm_guest g1 qcow2:a.qcow2 raw:b.raw ro:raw:c.raw words=logdev=vda,vdb
vf_expect_exit 0 "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" --limit-rate 1M \
    --dry-run --json
json_is "$VF_OUT" '[.dry_run, .running_at] | join(" ")' "true source"
[ -z "$(ls "$vf_dst/images")" ] || fail "a dry run has made something"
no_overlays

# It is reset on the way, and the disks do not arrive before it is up again: it has to write meanwhile.
in_disks() { grep -q '"phase": "disks"' "$vf_src/run/vm-g1/move.json" 2>/dev/null; }
was_reset() { [ "$(cat "$vf_tmp/src.log" "$vf_tmp/dst.log" 2>/dev/null | grep -c 'GUEST UP')" -ge 2 ]; }
echo 600k >"$vf_tmp/rate"
{
    vf_wait_for 60 in_disks && guest_qmp - "$vf_tmp/a/qmp2" system_reset >/dev/null && vf_wait_for 100 was_reset || :
    echo 12M >"$vf_tmp/rate"
} &
vf_expect_exit 0 "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" \
    --limit-rate-file "$vf_tmp/rate" -v --json --progress json
wait $!
was_reset || fail "it was not reset"
json_true "$VF_OUT" '.rounds >= 1 and .phases.rounds.count == .rounds'
json_true "$VF_OUT" '.phases.rounds.wire_bytes_sent > 0'
# Memory is shown as the disks are: bytes, rate and time left.
grep '"phase":"memory"' "$VF_ERR" | tail -n 1 >"$vf_tmp/progress"
json_true "$vf_tmp/progress" '.progress | .bytes_total >= .bytes_done and .bytes_done > 1000000 and .rate > 0
    and .seconds_left >= 0'
grep -q "^vmferry: round 1: " "$VF_ERR" || fail "no round is told of"
guest_goes_on "$vf_tmp/dst.log"
no_overlays
no_litter
vm_end dst.q
vm_judge "$vf_dst/images/a.qcow2" qcow2
vm_judge "$vf_dst/images/b.raw" raw vdb
vf_bytes 33 2M | cmp - "$vf_dst/images/c.raw" || fail "the read-only disk"
