#!/bin/sh
# Holes cost nothing: an image of a terabyte with two pieces of data moves at once.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
requires qemu-img --version

cd "$vf_tmp" || exit
vf_image big.raw 1T
vf_put big.raw 500G 64K 1
vf_put big.raw 1099511623680 4096 2
[ "$(du -k big.raw | cut -f1)" -lt 1000 ] || skip "no sparse files here"

start=$(date +%s)
vf_expect_exit 0 "$VMFERRY" migrate big.raw --to "$vf_dst" --json # not from a map, and kept as one
is_sound "$VF_OUT"
json_is "$VF_OUT" '[.blocks, .literal_blocks] | join(" ")' "2147483648 136"
digest=$(json_get "$VF_OUT" .digest)
got=$(received big.raw)
[ "$(stat -c %s "$got")" = 1099511627776 ] || fail "the size is another one"
[ "$(du -k "$got" | cut -f1)" -lt 1000 ] || fail "holes became data"
for off in 500G 1099511623680; do
    vf_copy "$got" "$off" 4096 there 0
    vf_copy big.raw "$off" 4096 here 0
    cmp here there || fail "data at $off"
done
vf_expect_exit 0 "$VMFERRY" migrate big.raw --to "$vf_dst" --as big.qcow2 --to-format qcow2 --json
json_is "$VF_OUT" .digest "$digest"
[ "$(du -k "$(received big.qcow2)" | cut -f1)" -lt 4000 ] || fail "the qcow2 file is large"
vf_expect_exit 0 at_dst index check
vf_expect_exit 0 "$VMFERRY" similar big.raw --node "$vf_dst"
[ $(($(date +%s) - start)) -lt 20 ] || fail "holes take time"
