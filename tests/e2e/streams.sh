#!/bin/sh
# timeout: 200
# One migration over several SSH connections; those that break are done without.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
requires pgrep

cd "$vf_tmp" || exit
seed=1
ssh_node
# shellcheck disable=SC2086 # $vf_reach is a list of words
set -- --to "$vf_to" --format raw --compress none $vf_reach

# far_ends: the processes of the far end; the one that has the migration holds the lock.
far_ends() { pgrep -f -- "--store $vf_dst serve" | sort -n; }
main_far_end() {
    for p in $(far_ends); do
        if [ -n "$(find "/proc/$p/fd" -lname "$vf_dst/images/.vmferry.lock" 2>/dev/null)" ]; then
            echo "$p"
        fi
    done
}
is_up() { grep -q "connection $1 is up" "$2"; }
no_far_ends() { [ -z "$(far_ends)" ]; }
no_sockets() { [ -z "$(find "$vf_dst/run" -type s)" ]; }

# begin NAME N [OPTION...]: new content in the background, slowly; all N connections are up.
begin() {
    name=$1
    n=$2
    shift
    seed=$((seed + 1))
    vf_bytes $seed 40M >noise.raw
    "$VMFERRY" -v migrate noise.raw --as "$name" --streams "$@" --limit-rate 8M --json \
        >"$name.out" 2>"$name.err" &
    client=$!
    while [ "$n" -gt 1 ]; do
        vf_wait_for 20 is_up "$n" "$name.err" || fail "connection $n does not come: $(cat "$name.err")"
        n=$((n - 1))
    done
}

# ended NAME: as if nothing had happened.
ended() {
    got=0
    wait $client || got=$?
    [ $got -eq 0 ] || fail "$1: status $got: $(cat "$1.err")"
    is_sound "$1.out"
    json_true "$1.out" '.wire_bytes_sent > 40000000'
    same_content noise.raw "$(received "$1")"
    no_litter
    vf_wait_for 10 no_far_ends || fail "$1: far ends are left"
    no_sockets || fail "$1: a socket is left"
}

# A process that handed its connection over dies, and so does the server of another connection.
begin four 4 "$@"
vf_wait_for 10 test -s "$(received four.part)" || fail "it does not begin"
first=$(main_far_end)
[ "$(far_ends | wc -l)" -eq 4 ] || fail "not four far ends: $(far_ends)"
[ "$(stat -c %a "$vf_dst/run")" = 700 ] || fail "the directory of sockets is open to others"
[ "$(find "$vf_dst/run" -type s -perm 600 | wc -l)" -eq 1 ] || fail "not one private socket"
[ -z "$(find "$vf_dst/run" -mindepth 1 -perm /077)" ] || fail "something there is open to others"
others=$(far_ends | grep -vx "$first")
kill -KILL "$(echo "$others" | sed -n 1p)"
sleep 0.5
kill -KILL "$(ps -o ppid= -p "$(echo "$others" | sed -n 2p)" | tr -d ' ')"
ended four
[ "$(grep -c 'connection . failed' four.err)" -eq 2 ] || fail "it does not say so: $(cat four.err)"
[ "$(grep -c 'is up' four.err)" -ge 4 ] || fail "none was opened again: $(cat four.err)"

# The system's ssh program; and a forced command, to which the words of the client mean nothing.
begin by-ssh 3 "$@" --ssh-command ssh
ended by-ssh
echo "command=\"$VMFERRY --store $vf_dst serve\",restrict $(cat "$VF_SSH_KEY.pub")" \
    >"$VF_SSH_DIR/authorized_keys"
begin forced 3 "$@"
ended forced

# Without the first connection it ends, and the next migration sweeps up after it.
begin lost 3 "$@"
vf_wait_for 10 test -s "$(received lost.part)" || fail "it does not begin"
kill -KILL "$(main_far_end)"
got=0
wait $client || got=$?
[ $got -eq 4 ] || fail "without its first connection: status $got: $(cat lost.err)"
json_is lost.out .error.code unreachable
vf_wait_for 10 no_far_ends || fail "far ends are left"
begin lost 2 "$@"
ended lost

# As many as help; a store on this machine has one; nonsense.
vf_bytes 1 8M >noise.raw
vf_expect_exit 0 "$VMFERRY" migrate noise.raw --as auto.raw --streams auto --json "$@" --replace
vf_expect_exit 0 "$VMFERRY" -v migrate noise.raw --to "$vf_dst" --as local.raw --streams 4 --format raw
! grep -q "is up" "$VF_ERR" || fail "further connections to this machine"
vf_expect_exit 2 "$VMFERRY" migrate noise.raw --to "$vf_dst" --streams 65
