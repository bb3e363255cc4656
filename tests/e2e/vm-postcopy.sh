#!/bin/sh
# timeout: 500
# A guest that changes its memory faster than it travels moves with --postcopy: it runs at the
# destination while the rest of its memory follows. Whatever breaks then (the line, vmferry at either
# side, what holds QEMU's connections), it goes on there, all of its memory comes, and no write is lost.
# Before it was told to run there, it goes back.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
. "$VF_TESTS/e2e/_vm.sh"

vf_preload e2e/dieat.c

# holders [migrate|serve]: the processes that hold connections of this test's guest; those that
# were started at the source, or at the destination.
holders() {
    for vf_p in $(pgrep -x vf-holder); do
        vf_words=$(tr '\0' ' ' 2>/dev/null <"/proc/$vf_p/cmdline")
        case $vf_words in *"$vf_tmp"*" ${1:-}"*) echo "$vf_p" ;; esac
    done
}
kill_holder() {
    vf_p=$(holders "$1")
    [ "$(echo "$vf_p" | wc -w)" -eq 1 ] || fail "which holder of $1? $(pgrep -ax vf-holder)"
    kill -KILL "$vf_p"
}
end_holders() { [ -z "$(holders)" ] || kill -KILL $(holders) 2>/dev/null; }
no_holders() { [ -z "$(holders)" ]; }

# So that QEMU's main thread waits for a page only where this test makes it: when all holders are killed
# in such a moment, nothing can be mended.
VF_GUEST_IOTHREAD=1
vm_sites
vf_on_exit end_holders
vm_guest g1 raw:a.raw words=churn=30
here=src there=dst q=a first="--qmp $vf_tmp/a/qmp"

# vm WORD...: about the guest, in the store where it is.
vm() {
    # shellcheck disable=SC2086 # a list of words
    "$VMFERRY" --store "$vf_tmp/$here" migrate --vm g1 $first "$@"
}
to() { echo "--to $vf_tmp/$there --postcopy --replace --limit-rate 20M"; }
phase_is() { grep -q "\"phase\": \"$1\"" "$vf_tmp/$here/run/vm-g1/move.json" 2>/dev/null; }

# in_postcopy: starts a move ($mover), and waits until its memory follows the guest.
in_postcopy() {
    # shellcheck disable=SC2046,SC2086 # lists of words
    env --default-signal=INT "$VMFERRY" --store "$vf_tmp/$here" migrate --vm g1 $first $(to) --json \
        >"$VF_OUT" 2>"$VF_ERR" &
    mover=$!
    vf_wait_for 60 phase_is postcopy || fail "no phase postcopy: $(cat "$VF_OUT" "$VF_ERR")"
    sleep 0.5
    phase_is postcopy || fail "it was over too soon"
}
# held_up: QEMU's main thread there waits for a page, and hears no usual command any more. What looks at
# all of the memory is a command of ours here; it may as well be a device of the guest.
held_up() {
    guest_qmp - "$vf_tmp/$there.q/qmp2" pmemsave \
        '{"val": 0, "size": 167772160, "filename": "/dev/null"}' >/dev/null 2>&1 &
    looker=$!
    sleep 0.3
}
is_held_up() { kill -0 "$looker" 2>/dev/null || fail "nothing held QEMU up"; }
ends_with() {
    got=0
    wait "$mover" || got=$?
    [ "$got" -eq "$1" ] || fail "the move ended with $got, not $1: $(cat "$VF_OUT" "$VF_ERR")"
}

# end_left: QEMU 7.2 may hang when it is to end (hypervisor/README.md): then that was told.
end_left() {
    left=$(json_get "$VF_OUT" '.left_process // 0')
    [ "$left" -ne 0 ] || return 0
    [ "$left" = "$(cat "$vf_tmp/$q/pid")" ] || fail "process $left is not its QEMU"
    echo "its QEMU did not end: $left"
    kill -KILL "$left"
}

# arrived: it goes on there, whole, and nothing is left here.
arrived() {
    guest_goes_on "$vf_tmp/$there.log"
    guest_stands "$vf_tmp/$here.log"
    [ "$(guest_qmp - "$vf_tmp/$there.q/qmp2" query-migrate | jq -r .status)" = completed ] ||
        fail "some of its memory is missing"
    end_left
    vm_gone "$vf_tmp/$q"
    [ ! -e "$vf_tmp/$here/run/vm-g1" ] || fail "left: $(ls "$vf_tmp/$here/run/vm-g1")"
    no_overlays
    vf_wait_for 10 no_holders || fail "a holder is left"
    ! grep -E 'panic|BUG|Oops|not a head' "$vf_tmp/src.log" "$vf_tmp/dst.log" ||
        fail "the guest's memory is damaged"
    first=
    case $here in src) here=dst there=src q=dst.q ;; dst) here=src there=dst q=src.q ;; esac
}
# stayed: it goes on here, as it was.
stayed() {
    guest_goes_on "$vf_tmp/$here.log"
    vm_gone "$vf_tmp/$there.q"
    no_overlays
    [ ! -e "$vf_tmp/$here/run/vm-g1/move.json" ] || fail "a move is left"
    vf_wait_for 10 no_holders || fail "a holder is left"
}
says_where() { # in phase postcopy, when nobody works
    vf_expect_exit 0 vm --status --json
    json_is "$VF_OUT" '[.moving, .phase, .running_at] | map(tostring) | join(" ")' \
        "false postcopy destination"
    [ "$(guest_qmp - "$vf_tmp/$q/qmp2" query-status | jq -r .status)" = finish-migrate ] ||
        fail "the QEMU here is not what it was"
}

echo "== undisturbed"
# shellcheck disable=SC2046 # a list of words
vf_expect_exit 0 vm $(to) --json
json_is "$VF_OUT" '[.running_at, .phases.hand_off.postcopy] | map(tostring) | join(" ")' \
    "destination true"
json_true "$VF_OUT" '.downtime_seconds < 2 and .phases.hand_off.postcopy_seconds > 0.5'
arrived

echo "== a line breaks before the guest is let go: it goes back, and can go again at once"
# shellcheck disable=SC2046,SC2086 # lists of words
"$VMFERRY" --store "$vf_tmp/$here" migrate --vm g1 $first $(to) >"$VF_OUT" 2>"$VF_ERR" &
mover=$!
vf_wait_for 60 test -S "$vf_tmp/$here/run/vm-g1/hold.out" || fail "no memory travels"
sleep 0.5
kill -KILL "$(pgrep -P "$mover" | sed -n 2p)"
ends_with 4
# shellcheck disable=SC2046 # a list of words
vf_expect_exit 0 vm $(to) --json
json_is "$VF_OUT" .running_at destination
arrived

echo "== all connections break"
in_postcopy
kill -KILL $(pgrep -P "$mover")
ends_with 0
grep -q "lacks some of its memory" "$VF_ERR" || fail "it was not told: $(cat "$VF_ERR")"
arrived

echo "== the source is killed"
in_postcopy
kill -KILL "$mover"
ends_with 137
guest_stands "$vf_tmp/$here.log"
says_where
# shellcheck disable=SC2046 # a list of words
vf_expect_exit 0 vm $(to) --json
json_is "$VF_OUT" '[.running_at, .rejoined] | map(tostring) | join(" ")' "destination true"
arrived

echo "== the holders are killed, too: QEMU takes a new connection; --abort cannot but finish it"
in_postcopy
kill -KILL $(holders) "$mover"
ends_with 137
says_where
vf_expect_exit 0 vm --abort --json
json_is "$VF_OUT" .running_at destination
arrived

echo "== only the holder here is killed: the far one lets go, too, and QEMU takes a new connection"
in_postcopy
kill_holder migrate
ends_with 0
arrived

echo "== the same when a page that is missing holds the far QEMU up, so that it hears nobody"
in_postcopy
held_up
kill_holder migrate
sleep 1
is_held_up
ends_with 0
arrived

echo "== and vmferry is killed with it: the holder there has kept the connection that QEMU hears"
in_postcopy
held_up
kill -KILL $(holders migrate) "$mover"
ends_with 137
sleep 1
is_held_up
# shellcheck disable=SC2046 # a list of words
vf_expect_exit 0 vm $(to) --json
json_is "$VF_OUT" .rejoined true
arrived

echo "== only the holder there is killed"
in_postcopy
kill_holder serve
ends_with 0
arrived

echo "== the same when QEMU there is held up"
in_postcopy
held_up
kill_holder serve
sleep 1
is_held_up
ends_with 0
arrived

echo "== the same when nobody works: the next vmferry finds its holder"
in_postcopy
kill -INT "$mover"
ends_with 130
kill_holder serve
# shellcheck disable=SC2046 # a list of words
vf_expect_exit 0 vm $(to) --json
json_is "$VF_OUT" .rejoined true
arrived

echo "== killed when the decision was noted, and the far end not told: it goes back"
# shellcheck disable=SC2046 # a list of words
vf_expect_exit 137 env LD_PRELOAD="$vf_tmp/dieat.so" VF_DIE_AT='after:move.json:"commit"' \
    "$VMFERRY" --store "$vf_tmp/$here" migrate --vm g1 $first $(to)
guest_stands "$vf_tmp/$here.log"
vf_expect_exit 0 vm --abort --json
json_is "$VF_OUT" .running_at source
stayed

echo "== killed before that"
# shellcheck disable=SC2046 # a list of words
vf_expect_exit 137 env LD_PRELOAD="$vf_tmp/dieat.so" VF_DIE_AT='before:move.json:"commit"' \
    "$VMFERRY" --store "$vf_tmp/$here" migrate --vm g1 $first $(to)
vf_expect_exit 0 vm --abort --json
json_is "$VF_OUT" .running_at source
stayed

echo "== the far end is killed when it has promised: it goes back"
# shellcheck disable=SC2046,SC2086 # lists of words
if env LD_PRELOAD="$vf_tmp/dieat.so" VF_DIE_AT='after:guest.json:"promised": true' \
    "$VMFERRY" --store "$vf_tmp/$here" migrate --vm g1 $first $(to) --json >"$VF_OUT" 2>"$VF_ERR"; then
    fail "it did not fail"
fi
stayed

echo "== the far end is killed before it has noted that it runs there: it does"
: >"$vf_tmp/$there/run/once" # where the far end may write
# shellcheck disable=SC2046,SC2086 # lists of words
vf_expect_exit 0 env LD_PRELOAD="$vf_tmp/dieat.so" VF_DIE_ONCE="$vf_tmp/$there/run/once" \
    VF_DIE_AT='before:guest.json:"committed": true' \
    "$VMFERRY" --store "$vf_tmp/$here" migrate --vm g1 $first $(to) --json
[ ! -e "$vf_tmp/$there/run/once" ] || fail "it was not killed"
arrived

echo "== the far end cannot note that it runs there: it keeps it, and is asked again"
: >"$vf_tmp/$there/run/once" # where the far end may write
# shellcheck disable=SC2046,SC2086 # lists of words
vf_expect_exit 0 env LD_PRELOAD="$vf_tmp/dieat.so" VF_DIE_ONCE="$vf_tmp/$there/run/once" VF_STOP=fail \
    VF_DIE_AT='before:guest.json:"committed": true' \
    "$VMFERRY" --store "$vf_tmp/$here" migrate --vm g1 $first $(to) --json
[ ! -e "$vf_tmp/$there/run/once" ] || fail "it could note it"
arrived

vm_end $q
vm_judge "$vf_tmp/$here/images/a.raw" raw
