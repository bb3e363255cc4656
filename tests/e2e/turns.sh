#!/bin/sh
# An sshd that has too many logins at a time hangs up before its greeting (MaxStartups): it is asked again
# until there is a turn, with both clients, and what is wrong is said when there is none.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
requires bash --version

cd "$vf_tmp" || exit
vf_image a.raw 1M seed=1

# Somebody who connects and says nothing has the only place; goes when told.
VF_SSHD_STARTUPS=1:100:1
export VF_SSHD_STARTUPS
ssh_node
drops() { grep -c 'past MaxStartups' "$VF_SSH_DIR/log" || :; }
were_dropped() { [ "$(drops)" -ge "$1" ]; }

# takes_place: somebody has the only place until there is a file "go".
takes_place() {
    rm -f silent go
    bash -c "exec 3<>/dev/tcp/127.0.0.1/$VF_SSH_PORT; read -r _ <&3; : >silent; until [ -e go ]; do sleep 0.05; done" &
    silent=$!
    vf_wait_for 20 test -e silent || fail "nobody took the place"
}

for client in "" "--ssh-command ssh"; do
    # A migration that is turned away twice, and then not.
    takes_place
    before=$(drops)
    # shellcheck disable=SC2086 # lists of words
    "$VMFERRY" migrate a.raw --to "$vf_to" --as "a$before.raw" --json $vf_reach $client >out 2>err &
    moving=$!
    vf_wait_for 20 were_dropped $((before + 2)) || fail "it was not turned away twice"
    : >go
    wait $silent
    wait $moving || fail "it did not get its turn: $(cat err)"
    cmp a.raw "$(received "a$before.raw")"

    # There is none for as long as it is willing to wait.
    takes_place
    before=$(drops)
    # shellcheck disable=SC2086
    vf_expect_exit 4 "$VMFERRY" migrate a.raw --to "$vf_to" --as never.raw --json --connect-timeout 1 \
        $vf_reach $client
    json_is "$VF_OUT" .error.code unreachable
    grep -q 'MaxStartups' "$VF_ERR" || fail "it does not say what may be the matter: $(cat "$VF_ERR")"
    were_dropped $((before + 2)) || fail "it was not asked again"
    : >go
    wait $silent
done
[ ! -e "$(received never.raw)" ] || fail "it was done all the same"
