#!/bin/sh
# similar and --to auto look at several nodes and choose the one that needs the least.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

cd "$vf_tmp" || exit
vf_image a.raw 4M seed=1
cp a.raw near.raw
vf_put near.raw 1M 64K 2
cp a.raw far.raw
vf_put far.raw 1M 3M 3

vf_expect_exit 0 "$VMFERRY" --store one index add far.raw
vf_expect_exit 0 "$VMFERRY" --store two index add near.raw
vf_expect_exit 0 "$VMFERRY" --store full index add a.raw
printf '[serve]\naccept = no\n' >full/vmferry.conf
vf_expect_exit 0 "$VMFERRY" node add one "$vf_tmp/one"
vf_expect_exit 0 "$VMFERRY" node add two "$vf_tmp/two"
vf_expect_exit 0 "$VMFERRY" node add full "$vf_tmp/full"
vf_expect_exit 0 "$VMFERRY" node add gone ssh://127.0.0.1:1

# All of the inventory, and this store; one is not there, and that is said.
vf_expect_exit 0 "$VMFERRY" similar a.raw --json
json_is "$VF_OUT" '[.nodes[].node] | join(" ")' "full one two $vf_src"
json_is "$VF_OUT" '[.nodes[].literal_blocks] | join(" ")' "0 6144 128 8192"
json_is "$VF_OUT" '.unreachable[0].node' gone
json_is "$VF_OUT" .choice two
grep -q '^vmferry: gone: ' "$VF_ERR" || fail "no word about the node that is gone"
[ -z "$(find src/tmp -mindepth 1)" ] || fail "similar left something behind"
vf_expect_exit 0 "$VMFERRY" index ls --json
json_is "$VF_OUT" '.images | length' 0

vf_expect_exit 4 "$VMFERRY" similar a.raw --node gone
vf_expect_exit 0 "$VMFERRY" similar a.raw --node one --rate 1M --json
json_is "$VF_OUT" '.nodes | length' 1
json_true "$VF_OUT" '.nodes[0].seconds_estimate > 3 and .nodes[0].seconds_estimate < 4'

# A dry run shows the ranking, and leaves nothing at any node; what is done then was predicted.
vf_expect_exit 0 "$VMFERRY" migrate a.raw --to auto --dry-run --json
json_is "$VF_OUT" '.ranking[0].node' two
[ -z "$(find one two full -name '*a.raw*')" ] || fail "a dry run created something"
vf_expect_exit 0 "$VMFERRY" migrate a.raw --to auto --json
is_sound "$VF_OUT"
json_is "$VF_OUT" '.ranking | map(.node) | .[0:2] | join(" ")' "two one"
json_true "$VF_OUT" '.predicted_wire_bytes > 0 and .predicted_literal_blocks > 0'
json_is "$VF_OUT" '[.node, .literal_blocks] | join(" ")' "two 128"
cmp a.raw two/images/a.raw
vf_expect_exit 0 "$VMFERRY" migrate a.raw --to auto --node one --as b.raw --json
json_is "$VF_OUT" .node one

# Nobody takes it.
vf_expect_exit 4 "$VMFERRY" migrate a.raw --to auto --node full --as c.raw
vf_expect_exit 4 "$VMFERRY" migrate a.raw --to auto --node gone --as c.raw
