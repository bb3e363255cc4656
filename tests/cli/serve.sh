#!/bin/sh
# serve refuses what is not its protocol, writes nothing but its protocol, and ends.
. "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"

cd "$vf_tmp" || exit
export VMFERRY_STORE="$vf_tmp/store"

run_serve() { "$VMFERRY" serve <"$1"; }
: >empty
vf_expect_exit 4 run_serve empty
printf 'SSH-2.0-OpenSSH_9.2\r\n' >banner
vf_expect_exit 4 run_serve banner
vf_bytes 7 1M >noise
vf_expect_exit 4 run_serve noise
! grep -q vmferry: "$VF_OUT" || fail "a message among the protocol"

# The store is broken: the peer is told so, and not just left alone.
printf 'nonsense\n' >store/vmferry.conf
vf_expect_exit 4 "$VMFERRY" --store "$vf_tmp/other" node check "$vf_tmp/store" --json
json_true "$VF_OUT" '.error.message | contains("far end") and contains("line 1")'
rm store/vmferry.conf

# It is not moved by what sshd tells it of the client's wishes.
SSH_ORIGINAL_COMMAND='rm -rf /' vf_expect_exit 4 run_serve empty

if command -v script >/dev/null; then
    vf_expect_exit 2 script -qec "$VMFERRY serve" /dev/null
    grep -q 'not with a terminal' "$VF_OUT" || fail "serve on a terminal"
fi
