#!/bin/sh
# index add, ls, show, rm, check: what they say, and what they notice.
. "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"

cd "$vf_tmp" || exit
export VMFERRY_STORE="$vf_tmp/store"
vf_image a.raw 4M seed=1
vf_hole a.raw 1M 1M
vf_copy a.raw 0 256K a.raw 3M
qemu-img convert -f raw -O qcow2 a.raw a.qcow2

vf_expect_exit 0 "$VMFERRY" index add a.raw a.qcow2 --json
json_is "$VF_OUT" '.images | length' 2
json_is "$VF_OUT" '.images[0].image' "$vf_tmp/a.raw"
json_is "$VF_OUT" '.images[0].unchanged' false
# The same content is the same digest in any file format.
json_is "$VF_OUT" '.images[0].digest == .images[1].digest' true
json_true "$VF_OUT" '.images[0].digest | test("^sha256:[0-9a-f]{64}$")'

vf_expect_exit 0 "$VMFERRY" index ls --json
cp "$VF_OUT" ls.json
for i in 0 1; do
    json_is ls.json ".images[$i].virtual_size" 4194304
    json_is ls.json ".images[$i].blocks" 8192
    json_is ls.json ".images[$i].zero_blocks" 2048
    json_is ls.json ".images[$i].distinct_blocks" 5633 # 6144 - 512 repeated + the zero block
    json_is ls.json ".images[$i].fresh" true
    json_is ls.json ".images[$i].group" ""
    json_true ls.json ".images[$i].indexed_at > 1600000000"
done
json_is ls.json '[.images[].format] | sort | join(" ")' "qcow2 raw"

# A fresh map is not made again, unless that is asked for; the group may change.
vf_expect_exit 0 "$VMFERRY" index add a.raw --json
json_is "$VF_OUT" '.images[0].unchanged' true
vf_expect_exit 0 "$VMFERRY" index add a.raw --json --force
json_is "$VF_OUT" '.images[0].unchanged' false
vf_expect_exit 0 "$VMFERRY" index add a.raw --json --group t7
json_is "$VF_OUT" '.images[0].unchanged' true
json_is "$VF_OUT" '.images[0].group' t7

vf_expect_exit 0 "$VMFERRY" index show a.qcow2
grep -q '^distinct blocks  5633$' "$VF_OUT" || fail "index show"
vf_expect_exit 0 "$VMFERRY" index show --json "$vf_tmp/a.qcow2"
json_is "$VF_OUT" .format qcow2
vf_expect_exit 1 "$VMFERRY" index show b.raw --json
json_is "$VF_OUT" .error.code notfound

vf_expect_exit 0 "$VMFERRY" index check --json
json_is "$VF_OUT" .bad 0
json_is "$VF_OUT" .checked 2

# Same size, same time of writing, one other byte: only reading finds it, and it is found.
touch -r a.raw stamp
printf X | dd of=a.raw bs=1 seek=4000000 conv=notrunc status=none
touch -r stamp a.raw
vf_expect_exit 1 "$VMFERRY" index check --json
json_is "$VF_OUT" .bad 1
json_is "$VF_OUT" .error.code mismatch
json_is "$VF_OUT" '.images[] | select(.ok | not) | .image' "$vf_tmp/a.raw"
json_true "$VF_OUT" '.images[] | select(.ok | not) | .problem | contains("block 7812")'
vf_expect_exit 0 "$VMFERRY" index check a.qcow2
vf_expect_exit 0 "$VMFERRY" index ls --json
json_is "$VF_OUT" '.images[] | select(.format == "raw") | .fresh' false

# Indexing it again heals; a missing file shows.
vf_expect_exit 0 "$VMFERRY" index add a.raw
vf_expect_exit 0 "$VMFERRY" index check
truncate -s 5M a.raw
vf_expect_exit 1 "$VMFERRY" index check
rm a.raw
vf_expect_exit 1 "$VMFERRY" index check --json
json_is "$VF_OUT" .bad 1

# Its record can still be removed; the other image's file stays.
vf_expect_exit 0 "$VMFERRY" index rm a.raw a.qcow2 --json
json_is "$VF_OUT" '.removed | length' 2
[ -e a.qcow2 ] || fail "index rm removed the file"
vf_expect_exit 1 "$VMFERRY" index rm a.qcow2
vf_expect_exit 0 "$VMFERRY" index ls --json
json_is "$VF_OUT" '.images | length' 0

# What cannot be indexed.
vf_expect_exit 1 "$VMFERRY" index add missing.raw
vf_expect_exit 1 "$VMFERRY" index add "$vf_tmp" --format raw
printf 'not a qcow2 file' >bad.qcow2
vf_expect_exit 2 "$VMFERRY" index add bad.qcow2
# The others are, and each that was not is named.
vf_image good.raw 1M seed=2
vf_image fine.raw 1M seed=3
vf_expect_exit 1 "$VMFERRY" index add -q bad.qcow2 good.raw missing.raw fine.raw --json
json_is "$VF_OUT" '[.images[].image | split("/") | last] | join(" ")' "good.raw fine.raw"
json_is "$VF_OUT" '[.failed[] | .image, .error.code] | join(" ")' "bad.qcow2 usage missing.raw notfound"
json_is "$VF_OUT" .error.code notfound
[ "$(grep -c "bad.qcow2\|missing.raw" "$VF_ERR")" -eq 2 ] || fail "not both are named"
# The content of a VMDK may lie in other files, and the file itself says nothing of their changes.
qemu-img convert -f raw -O vmdk -o subformat=monolithicFlat good.raw flat.vmdk
vf_expect_exit 0 "$VMFERRY" index add flat.vmdk --json
json_is "$VF_OUT" '.images[0].fresh' false
vf_put flat-flat.vmdk 512K 4K 9
vf_expect_exit 0 "$VMFERRY" migrate flat.vmdk --to "$vf_tmp/there" --to-format raw --json
json_is "$VF_OUT" .verified true
cmp flat-flat.vmdk there/images/flat.raw || fail "not what is there now"
vf_expect_exit 0 "$VMFERRY" index rm flat.vmdk
vf_expect_exit 1 "$VMFERRY" index check missing.raw good.raw none.raw fine.raw --json
json_is "$VF_OUT" '[.checked, .bad, (.images | length)] | join(" ")' "2 0 2"
json_is "$VF_OUT" '[.failed[] | .image, .error.code] | join(" ")' "missing.raw notfound none.raw notfound"
json_is "$VF_OUT" .error.code notfound
vf_expect_exit 1 "$VMFERRY" index rm -q missing.raw good.raw none.raw fine.raw --json
json_is "$VF_OUT" '[.removed[] | split("/") | last] | join(" ")' "good.raw fine.raw"
json_is "$VF_OUT" '[.failed[] | .image, .error.code] | join(" ")' "missing.raw notfound none.raw notfound"
[ "$(grep -c "missing.raw\|none.raw" "$VF_ERR")" -eq 2 ] || fail "not both are named"
# So is one whose backing file is what is wrong.
mkdir sub
cp bad.qcow2 sub/below.qcow2
qemu-img create -q -u -f qcow2 -F qcow2 -b below.qcow2 sub/top.qcow2 1M
vf_expect_exit 1 "$VMFERRY" index add -q sub/below.qcow2 sub/top.qcow2 --json
json_true "$VF_OUT" '.failed | all(.image as $i | .error.message | startswith($i))'
vf_expect_exit 1 "$VMFERRY" index add --format qcow2 bad.qcow2 --json
json_is "$VF_OUT" .error.code format
