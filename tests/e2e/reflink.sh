#!/bin/sh
# Where the file system can share extents (reflinks), an image that arrives shares those that it has in common with
# a resident one, although what they have in common seldom begins with a page; and neither changes the other.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
requires_root
requires mkfs.xfs -V
requires filefrag -V

cd "$vf_tmp" || exit
truncate -s 400M fs.img
mkfs.xfs -q -m reflink=1 fs.img
mkdir "$vf_dst"
mount -o loop fs.img "$vf_dst" 2>/dev/null || skip "cannot mount a loop device"
vf_on_exit "umount -l '$vf_dst'"

# shared FILE: KiB of it that are in extents of others, too.
shared() {
    sync "$1"
    filefrag -k -v "$1" | awk -F: '/shared/ { n += $4 } END { print n + 0 }'
}

vf_image old.raw 16M seed=1
cp old.raw new.raw
for i in 1 2 3 4 5 6 7; do
    vf_put new.raw "$((i * 2048 * 1024 - 1536))" 512 "$i"
done
cp --reflink=never old.raw "$vf_dst/old.raw"
vf_expect_exit 0 at_dst index add "$vf_dst/old.raw"
moved new.raw new.raw
json_true "$VF_OUT" '.copied_blocks > 32000 and .repaired_blocks == 0'
now=$(shared "$(received new.raw)")
[ "$now" -gt 15000 ] || fail "only $now KiB of 16384 are shared"
same_content old.raw "$vf_dst/old.raw"

# Content that lies elsewhere, by pages and not, and what is written later.
head -c 4096 /dev/zero | cat - old.raw >pages.raw
head -c 512 /dev/zero | cat - old.raw >blocks.raw
moved pages.raw pages.raw
now=$(shared "$(received pages.raw)")
[ "$now" -gt 15000 ] || fail "only $now KiB of 16384 are shared, a page further on"
moved blocks.raw blocks.raw
json_is "$VF_OUT" .literal_blocks 0
vf_put "$(received new.raw)" 4M 64K 99
vf_put new.raw 4M 64K 99
same_content new.raw "$(received new.raw)"
same_content old.raw "$vf_dst/old.raw"
same_content pages.raw "$(received pages.raw)"
