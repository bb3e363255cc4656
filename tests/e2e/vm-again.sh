#!/bin/sh
# timeout: 240
# A move that goes back because this QEMU was about to send memory twice is tried again, and its report
# counts what both tries have sent.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
. "$VF_TESTS/e2e/_vm.sh"

requires_root # to hold a thread of another process

vm_sites
VF_GUEST_FILL=4M
vm_guest g1 raw:a.raw words=churn=30
qmp() { guest_qmp - "$vf_tmp/a/qmp2" "$@"; }
[ "$(qmp query-kvm | jq .enabled)" = false ] && [ "$(qmp query-version | jq .qemu.major)" -lt 9 ] ||
    skip "this QEMU may send memory more than once"

# QEMU begins a second pass when nobody allows it, at the end of the first one, to let the guest stand
# still for so long as the rest needs: who would do that gets no processor meanwhile.
looks() { qmp query-migrate | jq '.ram["dirty-sync-count"] // 0'; }
travels() { [ "$(looks)" -ge 1 ]; }
is_twice() { [ "$(looks)" -ge 3 ]; }
"$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" --limit-rate 40M --json -v \
    >"$vf_tmp/move.out" 2>"$vf_tmp/move.err" &
mover=$!
vf_on_exit "kill $mover 2>/dev/null"
vf_wait_for 30 travels || fail "no memory travels"
"$VF_LAB/holdthread" $mover 60 &
holder=$!
vf_wait_for 50 is_twice || fail "QEMU does not begin a second pass"
kill $holder
got=0
wait $mover || got=$?
cp "$vf_tmp/move.out" "$VF_OUT"
[ $got -eq 0 ] || fail "exit status $got: $(cat "$vf_tmp/move.err")"
grep 'going back: this QEMU' "$vf_tmp/move.err" || fail "there was no second try"
jq -c 'del(.disks)' "$VF_OUT"

# The disk came with the first try: 4 MiB that do not repeat.
json_is "$VF_OUT" .running_at destination
json_true "$VF_OUT" '.disks[0].literal_blocks >= 8192'
json_true "$VF_OUT" 'all(.disks[]; .verified and .zero_blocks + .shared_blocks + .duplicate_blocks +
    .literal_blocks == .blocks)'
json_true "$VF_OUT" '.phases.bulk.wire_bytes_sent > 4194304'
# Of the memory, more than all that is not empty, as it went over more than once.
json_true "$VF_OUT" '.wire_bytes_sent > .phases.bulk.wire_bytes_sent + .phases.hand_off.memory_bytes * 0.9'
json_true "$VF_OUT" '.seconds > .phases.bulk.seconds + .phases.hand_off.seconds'

guest_goes_on "$vf_tmp/dst.log"
vm_gone "$vf_tmp/a"
no_overlays
no_litter
