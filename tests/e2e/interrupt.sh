#!/bin/sh
# SIGINT, SIGTERM and SIGHUP end a migration soon, with status 130 and nothing lost.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

cd "$vf_tmp" || exit

vf_image a.raw 1M seed=1

seed=1
for sig in INT TERM HUP; do
    seed=$((seed + 1))
    vf_image $sig.raw 8M seed=$seed
    "$VMFERRY" migrate $sig.raw --to "$vf_dst" --limit-rate 2M --compress none --json \
        >"$VF_OUT" 2>"$VF_ERR" &
    client=$!
    vf_wait_for 30 has_come "$(received $sig.raw.part)" 1024 || fail "it does not begin"
    start=$(date +%s%N)
    kill -$sig $client
    [ $sig != HUP ] || kill -HUP $client # a terminal that closes, and its shell
    got=0
    wait $client || got=$?
    took=$((($(date +%s%N) - start) / 1000000))
    [ $got -eq 130 ] || fail "SIG$sig gives status $got"
    [ $took -lt 20000 ] || fail "it took $took ms to stop"
    json_is "$VF_OUT" .error.code cancelled
    json_is "$VF_OUT" .error.message "interrupted (the same command goes on with what has arrived)"
    vf_wait_for 10 far_end_gone || fail "the far end does not end"
    moved $sig.raw $sig.raw --compress none
    json_true "$VF_OUT" '.wire_bytes_sent < 8000000'
done

# nohup(1)
vf_image nohup.raw 8M seed=5
(
    trap '' HUP
    exec "$VMFERRY" migrate nohup.raw --to "$vf_dst" --limit-rate 2M --compress none --json
) >"$VF_OUT" 2>"$VF_ERR" &
client=$!
vf_wait_for 30 has_come "$(received nohup.raw.part)" 1024 || fail "it does not begin"
kill -HUP $client
wait $client || fail "a signal that is ignored ends it"
is_sound "$VF_OUT"

# A far end that says nothing can be left, too. Its shell keeps the output open.
printf '#!/bin/sh\ncat >/dev/null\n:\n' >mute
chmod +x mute
"$VMFERRY" migrate a.raw --to ssh://h/s --ssh-command "$vf_tmp/mute" --json >"$VF_OUT" 2>"$VF_ERR" &
client=$!
sleep 0.5
start=$(date +%s)
kill -INT $client
got=0
wait $client || got=$?
[ $got -eq 130 ] || fail "with a silent far end: status $got"
[ $(($(date +%s) - start)) -lt 30 ] || fail "a silent far end is waited for"

# Connecting, too: to something that accepts and says nothing.
if command -v socat >/dev/null; then
    port=$(shuf -i 20000-32000 -n 1)
    socat -u "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" OPEN:/dev/null 2>/dev/null &
    listener=$!
    vf_on_exit "kill $listener"
    sleep 0.5
    "$VMFERRY" migrate a.raw --to "ssh://127.0.0.1:$port" --json >"$VF_OUT" 2>"$VF_ERR" &
    client=$!
    sleep 1
    kill -TERM $client
    got=0
    wait $client || got=$?
    [ $got -eq 130 ] || fail "while connecting: status $got"
    vf_expect_exit 4 "$VMFERRY" migrate a.raw --to "ssh://127.0.0.1:$port" --connect-timeout 1 --json
    json_is "$VF_OUT" .error.code timeout
fi
