#!/bin/sh
# The other side hangs up at each step of connecting and logging in: that is what is said, and not that a key
# or a host was refused.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
vf_preload e2e/hangup.c

cd "$vf_tmp" || exit
vf_expect_exit 0 at_dst index ls
ssh_node

# checked N: asks the node, which hangs up after it was received from N times.
checked() {
    rc=0
    # shellcheck disable=SC2086 # $vf_reach is a list of words
    LD_PRELOAD=$vf_tmp/hangup.so VF_HANGUP_AT=$1 "$VMFERRY" node check "$vf_to" --json --connect-timeout 1 \
        $vf_reach >out 2>err || rc=$?
    [ $rc != 0 ] || return 0
    [ $rc = 4 ] || fail "status $rc after $1 times: $(cat err)"
    json_is out '.nodes[0].error.code' unreachable
    json_true out '.nodes[0].error.message | test("hung up|connection lost|ended early")'
}

# libssh2 receives the greeting byte by byte.
greeting=$(bash -c "exec 3<>/dev/tcp/127.0.0.1/$VF_SSH_PORT; head -n 1 <&3" | wc -c)
checked 0
checked 7
json_true out '.nodes[0].error.message | test("before its greeting")'
n=$greeting
checked "$n"
while [ $rc != 0 ]; do
    n=$((n + 1))
    checked "$n"
done
[ "$n" -gt $((greeting + 6)) ] || fail "it could hang up only $((n - greeting)) times"
json_is out '.nodes[0].transport' libssh2
