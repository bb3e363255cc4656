#!/bin/sh
# timeout: 300
# The guest has moved, and its old QEMU does not end when it is told to: the move is done all the same, and
# says which process is left, that it must not run again, and how to end it. Its disk here has all that it
# wrote, however many rounds there were. What cannot be cleaned is told, too, with what to do then.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
. "$VF_TESTS/e2e/_vm.sh"

vf_preload e2e/dieat.c
vm_sites
VF_GUEST_FILL=4M
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

echo "== a guest of the user's own, which has written so much that there are two overlays"
echo 200k >"$vf_tmp/rate"
{
    vf_wait_for 60 has_come "$vf_tmp/a/a.raw.vmferry-0" 12288 || :
    echo 40M >"$vf_tmp/rate"
} &
vf_expect_exit 0 held "$vf_tmp/a" "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" \
    --limit-rate-file "$vf_tmp/rate" --json
wait $!
json_true "$VF_OUT" '.rounds >= 1'
tells "$vf_tmp/a"
guest_goes_on "$vf_tmp/dst.log"
no_overlays
guest_judge "$vf_tmp/a/a.raw" raw "$vf_tmp/src.log"
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

echo "== its overlay here is in use by somebody else: that is an error, and what it says to do helps"
env LD_PRELOAD="$vf_tmp/dieat.so" VF_DIE_AT='after:move.json:"finish"' VF_STOP=self \
    "$VMFERRY" --store "$vf_dst" migrate --vm g1 --to "$vf_src" --replace >"$VF_OUT" 2>"$VF_ERR" &
mover=$!
is_stopped() { grep -q '^State:.T' "/proc/$mover/status"; }
vf_wait_for 60 is_stopped || fail "it does not come so far"
mkfifo "$vf_tmp/words"
qemu-io -f qcow2 "$vf_dst/images/a.raw.vmferry-0" <"$vf_tmp/words" >/dev/null &
user=$!
exec 7>"$vf_tmp/words"
is_in_use() { ! qemu-img info "$vf_dst/images/a.raw.vmferry-0" >/dev/null 2>&1; }
vf_wait_for 10 is_in_use || fail "nobody uses it"
kill -CONT $mover
got=0
wait $mover || got=$?
[ "$got" -eq 1 ] || fail "exit status $got: $(cat "$VF_ERR")"
grep -q 'runs at .*something left to clean.*`vmferry migrate --vm g1 --abort`' "$VF_ERR" ||
    fail "not told: $(cat "$VF_ERR")"
guest_goes_on "$vf_tmp/src.log"
exec 7>&-
wait $user
vf_expect_exit 0 at_dst migrate --vm g1 --abort --json
json_is "$VF_OUT" '[.running_at, .left_process] | map(tostring) | join(" ")' "destination null"
[ ! -e "$vf_dst/run/vm-g1" ] || fail "left: $(ls "$vf_dst/run/vm-g1")"
guest_goes_on "$vf_tmp/src.log"
vm_gone "$vf_tmp/dst.q"
no_overlays
no_litter

vm_end src.q
vm_judge "$vf_src/images/a.raw" raw
