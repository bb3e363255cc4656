#!/bin/sh
# timeout: 200
# A far end that stops answering is given up after the watchdog's half minute, by either side.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
requires pgrep

cd "$vf_tmp" || exit
vf_image a.raw 6M seed=1

# Never says anything, and ends with its connection. Its shell keeps the output open.
printf '#!/bin/sh\ncat >/dev/null\n:\n' >mute
chmod +x mute
"$VMFERRY" migrate a.raw --to ssh://h/s --ssh-command "$vf_tmp/mute" --json >mute.out 2>mute.err &
mute=$!

# Stops in the middle.
"$VMFERRY" migrate a.raw --to "$vf_dst" --as far.raw --limit-rate 1M --compress none --json \
    >far.out 2>far.err &
far=$!
vf_wait_for 20 has_come "$(received far.raw.part)" 4 || fail "it does not begin"
serve=$(pgrep -P $far) # still only the far end
kill -STOP "$serve"
vf_on_exit "kill -KILL $serve 2>/dev/null"

# The near end stops; the far end must not keep the name locked.
"$VMFERRY" migrate a.raw --to "$vf_tmp/dst2" --as near.raw --limit-rate 1M --compress none \
    >near.out 2>near.err &
near=$!
vf_wait_for 20 has_come "$vf_tmp/dst2/images/near.raw.part" 1024 || fail "it does not begin"
kill -STOP $near
vf_on_exit "kill -KILL $near 2>/dev/null"

given_up() { # PID NAME
    got=0
    wait "$1" || got=$?
    [ $got -eq 4 ] || fail "$2: status $got: $(cat "$2.err")"
    json_is "$2.out" .error.code timeout
}
given_up $mute mute
given_up $far far
vf_wait_for 60 far_end_gone "$vf_tmp/dst2" || fail "the far end waits for ever"
[ -s "$vf_tmp/dst2/images/near.raw.part" ] || fail "what arrived is gone"
