#!/bin/sh
# Images of all shapes arrive whole at a store on this machine.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
requires qemu-img --version

cd "$vf_tmp" || exit

# Data, a hole, and a part that repeats another.
vf_image a.raw 8M seed=1
vf_hole a.raw 2M 2M
vf_copy a.raw 0 1M a.raw 5M
moved a.raw a.raw
json_is "$VF_OUT" '[.blocks, .zero_blocks, .shared_blocks, .duplicate_blocks, .literal_blocks] | join(" ")' \
    "16384 4096 0 2048 10240"
json_is "$VF_OUT" .image "$vf_tmp/a.raw"
digest=$(json_get "$VF_OUT" .digest)
[ "$(du -k "$(received a.raw)" | cut -f1)" -le 6400 ] || fail "the hole is not a hole"

# Again, as another image: everything is there, and next to nothing travels.
moved a.raw again.raw
json_is "$VF_OUT" '[.shared_blocks, .duplicate_blocks, .literal_blocks] | join(" ")' "12288 0 0"
json_true "$VF_OUT" '.wire_bytes_sent + .wire_bytes_received < 4000'

# The store by a path that goes through itself.
vf_expect_exit 0 "$VMFERRY" migrate a.raw --to "$vf_dst/../dst" --as roundabout.raw --json
same_content a.raw "$(received roundabout.raw)"
vf_expect_exit 0 at_dst index check images/roundabout.raw

# Odd sizes, no content at all, only zeros.
for size in 1 511 512 513 1000001; do
    vf_image odd.raw $size seed=$size
    moved odd.raw "odd-$size.raw"
done
vf_image empty.raw 0
moved empty.raw empty.raw
json_is "$VF_OUT" .blocks 0
vf_image zero.raw 5000000
moved zero.raw zero.raw
json_is "$VF_OUT" '.blocks == .zero_blocks' true
head -c 3M /dev/zero >written.raw # zeros that are written, not a hole
moved written.raw written.raw
[ "$(du -k "$(received written.raw)" | cut -f1)" -le 64 ] || fail "zeros take space"

# Formats: the content counts, and it has one digest.
qemu-img convert -f raw -O qcow2 a.raw a.qcow2
moved a.qcow2 b.qcow2
json_is "$VF_OUT" .digest "$digest"
json_is "$VF_OUT" .format qcow2
moved a.qcow2 b.raw --to-format raw
json_is "$VF_OUT" .digest "$digest"
moved a.raw c.qcow2 --to-format qcow2
json_is "$VF_OUT" .digest "$digest"
qemu-img check -q -f qcow2 "$(received c.qcow2)" || fail "qemu-img check"
qemu-img create -q -f qcow2 -o cluster_size=512K wide.qcow2 8M
qemu-img convert -n -f raw -O qcow2 a.raw wide.qcow2
moved wide.qcow2 wide.qcow2
[ "$(qemu-img info -f qcow2 --output=json "$(received wide.qcow2)" | jq '."cluster-size"')" = 524288 ] ||
    fail "the cluster size is another one"
qemu-img convert -f raw -O qcow2 -c a.raw packed.qcow2
moved packed.qcow2 packed.qcow2
qemu-img convert -f raw -O vmdk a.raw a.vmdk
moved a.vmdk b.vmdk
json_is "$VF_OUT" .digest "$digest"
qemu-img convert -f raw -O vpc -o force_size=on a.raw a.vhd
vf_expect_exit 2 "$VMFERRY" migrate a.vhd --to "$vf_dst" # read, but not written
grep -q -e '--to-format' "$VF_ERR" || fail "no advice"
moved a.vhd vhd.qcow2 --to-format qcow2
json_is "$VF_OUT" .digest "$digest"

# Without --as the name is the image's own; its suffix follows the format.
vf_expect_exit 0 "$VMFERRY" migrate a.qcow2 --to "$vf_dst" --to-format raw --as d.raw
vf_expect_exit 0 "$VMFERRY" migrate wide.qcow2 --to "$vf_dst" --to-format raw --json
json_is "$VF_OUT" .path "$(received wide.raw)"
cp a.raw disk.img
vf_expect_exit 0 "$VMFERRY" migrate disk.img --to "$vf_dst" --to-format qcow2 --json
json_is "$VF_OUT" .path "$(received disk.qcow2)"

# What was received is indexed, and agrees with its map; the source kept its maps too.
vf_expect_exit 0 at_dst index check
vf_expect_exit 0 at_dst index ls --json
json_is "$VF_OUT" '[.images[] | select(.fresh | not)] | length' 0
vf_expect_exit 0 "$VMFERRY" index check

# A store with a long path, whose QEMU sockets could not be named by it.
long=$vf_tmp/$(printf '%0100d' 1)/$(printf '%0100d' 2)
vf_expect_exit 0 "$VMFERRY" migrate a.qcow2 --to "$long"
same_content a.qcow2 "$long/images/a.qcow2"

# The way back.
vf_expect_exit 0 at_dst migrate "$(received a.raw)" --to "$vf_src" --as back.raw --json
json_true "$VF_OUT" '.literal_blocks == 0 and .wire_bytes_sent < 4000'
cmp a.raw "$vf_src/images/back.raw"
