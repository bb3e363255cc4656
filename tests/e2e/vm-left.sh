#!/bin/sh
# timeout: 300
# The guest has moved, and its old QEMU does not end when it is told to: the move is done all the same, and
# says which process is left, that it must not run again, and how to end it.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
. "$VF_TESTS/e2e/_vm.sh"

vf_preload e2e/dieat.c
vm_sites
vm_guest g1 raw:a.raw

# held DIR COMMAND...: that QEMU is stopped when the guest runs at its destination, before it is told to quit.
held() {
    vf_held=$1
    shift
    env LD_PRELOAD="$vf_tmp/dieat.so" VF_DIE_AT='after:move.json:"finish"' VF_STOP="$vf_held/pid" "$@"
}
# tells DIR: of its process.
tells() {
    vf_pid=$(cat "$1/pid")
    json_is "$VF_OUT" '[.running_at, .left_process] | map(tostring) | join(" ")' "destination $vf_pid"
    grep -q "still there: process $vf_pid (qemu.*must never let it run again.*kill -KILL $vf_pid" \
        "$VF_ERR" || fail "not told: $(cat "$VF_ERR")"
}

echo "== a guest of the user's own"
vf_expect_exit 0 held "$vf_tmp/a" "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" --json
tells "$vf_tmp/a"
guest_goes_on "$vf_tmp/dst.log"
no_overlays
vf_expect_exit 0 "$VMFERRY" index check
[ ! -e "$vf_src/run/vm-g1" ] || fail "left at the source: $(ls "$vf_src/run/vm-g1")"
kill -CONT "$vf_pid" # if it was held up only, it ends now, or stands still
guest_stands "$vf_tmp/src.log"
kill -KILL "$vf_pid" 2>/dev/null || :

echo "== one that came here before: it is in the way of its return until it is ended"
vf_expect_exit 0 held "$vf_tmp/dst.q" "$VMFERRY" --store "$vf_dst" migrate --vm g1 --to "$vf_src" \
    --replace --json
tells "$vf_tmp/dst.q"
guest_goes_on "$vf_tmp/src.log"
vf_expect_exit 4 "$VMFERRY" migrate --vm g1 --to "$vf_dst" --replace --json
json_is "$VF_OUT" .error.code exists
guest_goes_on "$vf_tmp/src.log"
kill -KILL "$vf_pid"
vm_gone "$vf_tmp/dst.q"

echo "== and one that ends"
vf_expect_exit 0 "$VMFERRY" migrate --vm g1 --to "$vf_dst" --replace --json
json_is "$VF_OUT" .left_process null
! grep "still there" "$VF_ERR" || fail "there is nothing to tell"
guest_goes_on "$vf_tmp/dst.log"
vm_gone "$vf_tmp/src.q"
no_litter

vm_end dst.q
vm_judge "$vf_dst/images/a.raw" raw
