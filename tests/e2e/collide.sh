#!/bin/sh
# Two blocks with one MD5 are not mixed up: found by MD5, proved by SHA-256.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

cd "$vf_tmp" || exit

# Marc Stevens' single-block collision (2012); two 64-byte messages with MD5 008ee33a...
echo Tclo/w7jXCCVctR3e3IVh9Nvp7Ib3Fa3Sj3AeD57lRivv6IAqChL826OS1WzX0J1k9hJZ22g0VVdg2D7Xwf+og== |
    base64 -d >one.bin
echo Tclo/w7jXCCVctR3e3IVh9Nvp7Ib3Fa3Sj3AeD57lRivv6ICqChL826OS1WzX0J1k9hJZ22g0dVdg2D7Xwf+og== |
    base64 -d >two.bin
for n in one two; do
    [ "$(md5sum <$n.bin)" = "008ee33a9d58b51cfeb425b0959121c9  -" ] || fail "$n is not the message"
    { cat $n.bin; vf_bytes 1 448; } >$n.block
done
cmp -s one.block two.block && fail "the blocks are equal"
[ "$(md5sum <one.block)" = "$(md5sum <two.block)" ] || fail "the blocks do not collide"

# image NAME BLOCK SEED...: 1 MiB of surroundings, the block, more surroundings.
image() { { vf_bytes "$3" 1M; cat "$2"; vf_bytes "$4" 64K; } >"$1"; }

# An attacker's image at the destination, the victim's here: alone among other blocks, among the
# same blocks, and in the same image twice.
image attack.raw one.block 2 3
image apart.raw two.block 4 5
image same.raw two.block 2 3
{ cat one.block; vf_bytes 6 128K; cat two.block; vf_bytes 7 64K; } >both.raw
vf_expect_exit 0 at_dst index add attack.raw

for im in apart same both; do
    moved $im.raw $im.raw
    vf_expect_exit 0 at_dst index rm "$(received $im.raw)"
done
# The same with the victim's map stored, and as a count, which may take them for equal.
vf_expect_exit 0 "$VMFERRY" index add same.raw
moved same.raw same2.raw
vf_expect_exit 0 "$VMFERRY" similar same.raw --node "$vf_dst"
# index check compares what MD5 cannot tell apart, too.
cp attack.raw later.raw
vf_expect_exit 0 "$VMFERRY" index add later.raw
dd if=two.block of=later.raw bs=512 seek=2048 conv=notrunc status=none
vf_expect_exit 1 "$VMFERRY" index check later.raw
