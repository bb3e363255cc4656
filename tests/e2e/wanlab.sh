#!/bin/sh
# The emulated WAN does what is set: delay, rate, loss that TCP repairs, cut and heal; and
# nothing of it is left over.
. "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"
requires_root
requires unshare --net --mount --pid --fork true
requires ip -V
requires nsenter --version
[ -c /dev/net/tun ] || skip "no /dev/net/tun"
(: >/dev/net/tun) 2>/dev/null || skip "TUN devices are not allowed here"

lab=$VF_TESTS/lab/wanlab
export WANLAB_DIR="$vf_tmp/lab"
vf_on_exit '"$lab" down'
"$lab" up -r 60 -b 100 -l 0 A B || fail "the lab does not start"

ms() { # COMMAND...: how long it takes
    start=$(date +%s%N)
    "$@" >"$VF_OUT" 2>"$VF_ERR" || fail "failed: $*"
    echo $((($(date +%s%N) - start) / 1000000))
}
send() { "$lab" exec A sh -c "head -c $1 '$vf_tmp/data' | ssh B 'cat >$vf_tmp/got'"; }
reach() { "$lab" exec A timeout 3 bash -c ': </dev/tcp/10.77.0.2/22'; }

vf_bytes 1 16M >"$vf_tmp/data"

# a TCP handshake takes one round trip
t=$(ms reach)
[ "$t" -ge 55 ] || fail "a connection at 60 ms took $t ms"

# 8 MiB at 100 Mbit/s take 0.67 s on the line alone, and cross it once
before=$("$lab" sent A)
t=$(ms send 8388608)
[ "$t" -ge 670 ] || fail "8 MiB at 100 Mbit/s took $t ms"
sent=$(($("$lab" sent A) - before))
[ "$sent" -ge 8388608 ] && [ "$sent" -le 10000000 ] || fail "8 MiB are $sent bytes on the wire"

# without a limit the same packets come large, are cut where one is lost, and stay whole
"$lab" set -b 0 -r 4 -l 2
send 16777216 || fail "no transfer over a line with loss"
cmp "$vf_tmp/data" "$vf_tmp/got" || fail "the line changed bytes"
"$lab" status >"$vf_tmp/status"
lost=$(sed -n 's/^A .*lost=\([0-9]*\).*/\1/p' "$vf_tmp/status")
[ "$lost" -ge 20 ] || fail "only $lost packets were lost at 2 %"

"$lab" set -l 0
"$lab" cut
! reach 2>/dev/null || fail "a cut line lets packets through"
"$lab" heal
reach || fail "a healed line lets nothing through"

inside=$("$lab" exec B sh -c 'readlink /proc/self/ns/net')
"$lab" down
[ ! -e "$WANLAB_DIR" ] || fail "the state directory is left"
for p in /proc/[0-9]*; do
    [ "$(readlink "$p/ns/net" 2>/dev/null)" != "$inside" ] || fail "left in the site: $(cat "$p/comm")"
done
