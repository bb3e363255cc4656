#!/bin/sh
# Volumes: a block device that was indexed gives blocks, whatever was written to it since, and moves as an
# image does; it is never called fresh.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
requires_root

cd "$vf_tmp" || exit
loop=
detach() {
    [ -z "$loop" ] || losetup -d "$loop"
    loop=
}
vf_on_exit detach
# attach FILE: $loop is then a device with its content.
attach() { loop=$(losetup -f --show "$1" 2>/dev/null) || skip "cannot make a loop device"; }
listed() {
    vf_expect_exit 0 at_dst index ls --json
    json_is "$VF_OUT" ".images[] | select(.image == \"$loop\") | [.state, .fresh] | @csv" "\"$1\",false"
}

vf_image a.raw 8M seed=1
cp a.raw disk.raw
attach disk.raw
vf_expect_exit 0 at_dst index add "$loop" --format raw
listed device
vf_expect_exit 0 "$VMFERRY" similar a.raw --node "$vf_dst" --json
json_is "$VF_OUT" '.nodes[0].literal_blocks' 0
moved a.raw same.raw
json_is "$VF_OUT" .literal_blocks 0
[ "$(json_get "$VF_OUT" .copied_blocks)" -gt 0 ] || fail "nothing was taken from the volume"
rm "$(received same.raw)"

# Written since: what is still there is taken.
vf_bytes 5 2M | dd of="$loop" bs=64K seek=32 conv=notrunc,fsync status=none
moved a.raw written.raw
json_true "$VF_OUT" '.copied_blocks > 8000 and .repaired_blocks > 0'
rm "$(received written.raw)"
vf_expect_exit 1 at_dst index check "$loop"
vf_expect_exit 0 at_dst index add "$loop" --json
json_is "$VF_OUT" '.images[0].unchanged' false
vf_expect_exit 0 at_dst index check "$loop"

# Smaller, and gone.
truncate -s 4M disk.raw
losetup -c "$loop"
moved a.raw smaller.raw
rm "$(received smaller.raw)"
was=$loop
detach
moved a.raw gone.raw
rm "$(received gone.raw)"
vf_expect_exit 0 at_dst index rm "$was"

# From a volume to a file; it is read as it is now, not as it was indexed.
truncate -s 8M disk.raw
attach disk.raw
vf_expect_exit 0 "$VMFERRY" index add --format raw "$loop"
vf_bytes 6 1M | dd of="$loop" bs=64K seek=64 conv=notrunc,fsync status=none
moved "$loop" db1.qcow2 --to-format qcow2 --format raw
moved "$loop" db1.raw --format raw
