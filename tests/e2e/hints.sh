#!/bin/sh
# A message says what can be done about it: an image that is there, perhaps the very same one, a name that
# says another format, an image that depends on others, one that is damaged.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
requires qemu-img --version

cd "$vf_tmp" || exit
vf_image a.raw 1M seed=1
vf_image b.raw 1M seed=2

says() { grep -qF -- "$1" "$VF_ERR" || fail "no '$1'"; }
says_not() { ! grep -qF -- "$1" "$VF_ERR" || fail "it says '$1'"; }

# What is there: the way out, and whether a migration whose answer got lost was done.
moved a.raw a.raw
vf_expect_exit 4 "$VMFERRY" migrate a.raw --to "$vf_dst"
says "exists already, with this very content"
says "--replace"
vf_expect_exit 4 "$VMFERRY" migrate a.raw --to "$vf_dst" --dry-run
says "with this very content"
vf_expect_exit 4 "$VMFERRY" migrate b.raw --to "$vf_dst" --as a.raw
says "exists already (--as gives another name, --replace replaces it)"
vf_expect_exit 0 "$VMFERRY" index add b.raw
vf_expect_exit 4 "$VMFERRY" migrate b.raw --to "$vf_dst" --as a.raw
says_not "this very content"
touch "$(received a.raw)" # nobody has looked at it since
vf_expect_exit 4 "$VMFERRY" migrate a.raw --to "$vf_dst"
says_not "this very content"
# Not to those of another group.
vf_expect_exit 0 at_dst index add --group t7 "$(received a.raw)"
vf_expect_exit 4 "$VMFERRY" migrate a.raw --to "$vf_dst"
says_not "this very content"

# A name that says another format is taken, and the format said.
vf_expect_exit 0 "$VMFERRY" migrate a.raw --to "$vf_dst" --as c.qcow2
says "'c.qcow2' will be a raw image: --to-format qcow2"
cmp a.raw "$(received c.qcow2)"
vf_expect_exit 0 "$VMFERRY" migrate a.raw --to "$vf_dst" --as d.qcow2 --to-format qcow2
says_not "will be"
vf_expect_exit 0 "$VMFERRY" migrate a.raw --to "$vf_dst" --as e.img
says_not "will be"

# An image that depends on others: how to allow them, and what its map is worth.
mkdir sub
qemu-img create -q -f qcow2 -b "$vf_tmp/a.raw" -F raw sub/over.qcow2
vf_expect_exit 1 "$VMFERRY" migrate sub/over.qcow2 --to "$vf_dst" --json
json_is "$VF_OUT" .error.code denied
says "--allow-backing"
moved sub/over.qcow2 over.qcow2 --allow-backing "$vf_tmp/a.raw"
vf_expect_exit 0 "$VMFERRY" index add sub/over.qcow2 --allow-backing "$vf_tmp/a.raw"
says "depends on other files"
vf_expect_exit 0 "$VMFERRY" index add a.raw
says_not "depends on"

# A file that is damaged where it is read: which one.
qemu-img convert -f raw -O qcow2 b.raw cut.qcow2
truncate -s 800K cut.qcow2
vf_expect_exit 1 "$VMFERRY" index add a.raw cut.qcow2
says "'$vf_tmp/cut.qcow2': content at "
vf_expect_exit 1 "$VMFERRY" migrate cut.qcow2 --to "$vf_dst"
says "'$vf_tmp/cut.qcow2': content at "
vf_expect_exit 1 "$VMFERRY" similar cut.qcow2 --node "$vf_dst"
says "'$vf_tmp/cut.qcow2': content at "
