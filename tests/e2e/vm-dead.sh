#!/bin/sh
# timeout: 240
# The destination ends with everything on it while a guest comes: the half-written disk there is told of,
# is in nobody's way, is put aside by --abort there, and is left alone while somebody uses it.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
. "$VF_TESTS/e2e/_vm.sh"

vm_sites
vm_guest g1 raw:a.raw words=ballast=8
disk=$vf_dst/images/a.raw

move() { "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --node "$vf_dst" --to auto --json "$@"; }
# phase_is PHASE: of that move, not of one before.
phase_is() {
    vf_job=$(cat "$vf_src/run/vm-g1/move.json" 2>/dev/null) || return 1
    case $vf_job in *"\"pid\": $mover,"*"\"phase\": \"$1\""*) ;; *) return 1 ;; esac
}
in_memory() {
    "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" --limit-rate 4M >"$VF_OUT" 2>"$VF_ERR" &
    mover=$!
    vf_wait_for 60 phase_is memory || fail "it does not come so far: $(cat "$VF_ERR")"
    vf_wait_for 60 test -s "$vf_tmp/dst.q/pid" || fail "no QEMU is started there"
}
# all_dead: both vmferrys, and QEMU there.
all_dead() {
    kill -KILL "$(cat "$vf_tmp/dst.q/pid")" $(pgrep -P "$mover") "$mover"
    wait "$mover" || :
    vf_wait_for 20 far_end_gone || fail "the far end does not end"
    rm "$vf_tmp/dst.q/pid"
    [ -e "$disk" ] || fail "its disk is not there"
}
status_is() { # MOVING COMING-HERE
    vf_expect_exit 0 at_dst migrate --vm g1 --status --json
    json_is "$VF_OUT" '[.moving, .coming_here, .came_here] | join(" ")' "$1 $2 false"
}

echo "== on its way: nothing is to be done at the destination"
in_memory
status_is true true
vf_expect_exit 1 at_dst migrate --vm g1 --abort --json
json_is "$VF_OUT" .error.code busy
phase_is memory || fail "the move has ended"

echo "== all is dead"
all_dead
status_is false true
at_dst migrate --vm g1 --status | grep -q "Do not use its disks here" || fail "it is not told"
guest_goes_on "$vf_tmp/src.log"

echo "== it is not in the way, and a dry run does nothing to it"
before=$(stat -c '%i %Y %s' "$disk")
vf_expect_exit 0 move --dry-run
json_is "$VF_OUT" '.ranking[0].eligible' true
[ "$(stat -c '%i %Y %s' "$disk")" = "$before" ] || fail "it has changed"

echo "== somebody uses it"
mkfifo "$vf_tmp/words"
qemu-io -f raw "$disk" <"$vf_tmp/words" >/dev/null &
user=$!
exec 7>"$vf_tmp/words"
is_in_use() { find "/proc/$user/fd" -lname "$disk" | grep -q .; }
vf_wait_for 10 is_in_use || fail "nobody uses it"
vf_expect_exit 4 move
json_is "$VF_OUT" '.error | [.code, (.message | test("in use"))] | join(" ")' "exists false"
vf_expect_exit 4 "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" --json
json_is "$VF_OUT" .error.code exists
[ "$(stat -c '%i %Y %s' "$disk")" = "$before" ] || fail "it has changed"
exec 7>&-
wait $user
guest_goes_on "$vf_tmp/src.log"

rm -f "$disk"
echo "== put aside at the destination"
in_memory
all_dead
vf_expect_exit 0 at_dst migrate --vm g1 --abort --json
json_is "$VF_OUT" .running_at source
[ ! -e "$disk" ] && [ -s "$disk.part" ] || fail "it is not a part: $(ls "$vf_dst/images")"
[ ! -e "$vf_dst/run/vm-g1" ] || fail "left: $(ls "$vf_dst/run/vm-g1")"
vf_expect_exit 1 at_dst migrate --vm g1 --abort --json
json_is "$VF_OUT" .error.code notfound

echo "== or the next move goes on with it"
in_memory
all_dead
vf_expect_exit 0 move
json_is "$VF_OUT" .running_at destination
guest_goes_on "$vf_tmp/dst.log"
vm_gone "$vf_tmp/a"
no_overlays
no_litter
vm_end dst.q
vm_judge "$disk" raw
