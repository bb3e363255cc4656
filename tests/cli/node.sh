#!/bin/sh
# The inventory, and `node check` against stores on this machine.
. "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"

cd "$vf_tmp" || exit
export VMFERRY_STORE="$vf_tmp/store"

vf_expect_exit 0 "$VMFERRY" node ls --json
json_is "$VF_OUT" '.nodes | length' 0
vf_expect_exit 0 "$VMFERRY" node add two "$vf_tmp/two"
vf_expect_exit 0 "$VMFERRY" node add paris ssh://vm@Paris.example.org:2222/srv/vm --json
json_is "$VF_OUT" .node ssh://vm@paris.example.org:2222/srv/vm
vf_expect_exit 1 "$VMFERRY" node add two /elsewhere --json
json_is "$VF_OUT" .error.code exists
vf_expect_exit 0 "$VMFERRY" node ls
printf 'NAME   NODE\nparis  ssh://vm@paris.example.org:2222/srv/vm\ntwo    %s\n' "$vf_tmp/two" >want
cmp -s want "$VF_OUT" || fail "node ls"

vf_expect_exit 0 "$VMFERRY" node check two --json
json_is "$VF_OUT" '.nodes[0] | [.name, .ok, .writable, .resident_images, .transport] | join(" ")' \
    "two true true 0 local"
json_true "$VF_OUT" '.nodes[0].free_bytes > 0 and .nodes[0].protocol >= 1'
vf_expect_exit 0 "$VMFERRY" node check "$vf_tmp/three" # need not be in the inventory
grep -q "$vf_tmp/three/images" "$VF_OUT" || fail "node check does not show the directory"

# One that takes nothing, one whose settings are broken.
printf '[serve]\naccept = no\n' >two/vmferry.conf
vf_expect_exit 0 "$VMFERRY" node check two --json
json_is "$VF_OUT" '.nodes[0].writable' false
printf '[serve]\ngroups = t7\n' >two/vmferry.conf
vf_expect_exit 4 "$VMFERRY" node check two --json
json_is "$VF_OUT" '.nodes[0].error.code' denied
vf_expect_exit 0 "$VMFERRY" node check two --group t7 --json
json_is "$VF_OUT" '.nodes[0].group' t7
printf 'nonsense\n' >two/vmferry.conf
vf_expect_exit 4 "$VMFERRY" node check two --json
json_true "$VF_OUT" '.error.message | contains("vmferry.conf")'

# A path may be of any bytes, but the inventory is JSON.
odd=$PWD/$(printf 'n\377')
vf_expect_exit 0 "$VMFERRY" node check "$odd" --json
json_is "$VF_OUT" '.nodes[0].node' "$PWD/n?"
vf_expect_exit 2 "$VMFERRY" node add odd "$odd"
grep -q "not written in UTF-8" "$VF_ERR" || fail "the message does not say what is wrong"

vf_expect_exit 0 "$VMFERRY" node rm two
vf_expect_exit 1 "$VMFERRY" node rm two
vf_expect_exit 0 "$VMFERRY" node add four "$vf_tmp/four"
vf_expect_exit 1 "$VMFERRY" node rm two paris three four --json
json_is "$VF_OUT" '.removed | join(" ")' "paris four"
json_is "$VF_OUT" '[.failed[] | .name, .error.code] | join(" ")' "two notfound three notfound"
vf_expect_exit 0 "$VMFERRY" node ls --json
json_is "$VF_OUT" '.nodes | length' 0

# Those who change it at the same time lose nothing of each other's.
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    "$VMFERRY" node add "n$i" "$vf_tmp/n$i" &
done
wait
vf_expect_exit 0 "$VMFERRY" node ls --json
json_is "$VF_OUT" '.nodes | length' 12
for i in 1 2 3 4 5 6 7 8 9 10 11; do
    "$VMFERRY" node rm "n$i" &
done
wait
vf_expect_exit 0 "$VMFERRY" node ls --json
json_is "$VF_OUT" '[.nodes[].name] | join(" ")' n12

printf '{"nodes": [' >store/nodes.json
vf_expect_exit 1 "$VMFERRY" node ls --json
json_is "$VF_OUT" .error.code format
json_true "$VF_OUT" ".error.message | contains(\"'$vf_tmp/store/nodes.json' is damaged: line 1\")"
