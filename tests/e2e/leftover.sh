#!/bin/sh
# The far end is killed when an image has got its name, but is not indexed: the next try of the same
# migration ends well and sends next to nothing. What somebody else made of the image is not touched.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

vf_preload e2e/dieat.c
cd "$vf_tmp" || exit
vf_image a.raw 8M seed=1
vf_hole a.raw 2M 1M
printf begin | dd of=a.raw conv=notrunc status=none # dieat looks for it
qemu-img convert -f raw -O qcow2 a.raw a.qcow2
cp a.raw b.raw
vf_put b.raw 5M 64K 2
dd if=/dev/zero of=pad bs=512 count=1 status=none

# killed IMAGE NAME [OPTION...]: leaves it there, whole and not indexed.
killed() {
    from=$1
    name=$2
    shift 2
    case $name in *.qcow2) text=QFI ;; *) text=begin ;; esac
    vf_expect_exit 4 env LD_PRELOAD="$vf_tmp/dieat.so" VF_DIE_AT="after:$name:$text" \
        "$VMFERRY" migrate "$from" --to "$vf_dst" --as "$name" --json "$@"
    vf_wait_for 20 far_end_gone || fail "the far end does not end"
    same_content "$from" "$(received "$name")"
    vf_expect_exit 1 at_dst index show "images/$name"
}

# exists IMAGE NAME: is refused, and nothing is done to what is there.
exists() {
    before=$(stat -c '%i %Y %s' "$(received "$2")")
    sum=$(sha256sum <"$(received "$2")")
    vf_expect_exit 4 "$VMFERRY" migrate "$1" --to "$vf_dst" --as "$2" --json
    json_is "$VF_OUT" .error.code exists
    [ "$(stat -c '%i %Y %s' "$(received "$2")")" = "$before" ] || fail "$2 is another file"
    [ "$(sha256sum <"$(received "$2")")" = "$sum" ] || fail "$2 has changed"
    [ ! -e "$(received "$2.part")" ] || fail "a part of $2"
}

for im in raw qcow2; do
    killed a.$im r.$im
    exists b.raw r.$im # that would be another image
    moved a.$im r.$im --compress none
    json_true "$VF_OUT" '.wire_bytes_sent < 20000'
    vf_expect_exit 0 at_dst index check
    exists a.$im r.$im # it is complete now
    # Forgotten or not: an image that has arrived is not touched.
    vf_expect_exit 0 at_dst index rm "images/r.$im"
    exists a.$im r.$im
done

# The plan says that it would be taken, and --to auto takes it.
killed a.raw p.raw
vf_expect_exit 0 "$VMFERRY" migrate a.raw --to "$vf_dst" --as p.raw --dry-run --json
json_is "$VF_OUT" '.ranking[0].eligible' true
[ -e "$(received p.raw)" ] || fail "a dry run took it away"
vf_expect_exit 0 "$VMFERRY" migrate a.raw --to auto --node "$vf_dst" --as p.raw --json
json_is "$VF_OUT" .verified true

# The service has indexed it in the meantime.
killed a.raw s.raw
vf_expect_exit 0 at_dst index add "$(received s.raw)" --format raw
moved a.raw s.raw

# In place of another one.
vf_image "$(received o.raw)" 1M seed=5
killed a.raw o.raw --replace
moved a.raw o.raw --replace
json_true "$VF_OUT" '.wire_bytes_sent < 20000'

# Somebody works with it: it was written, has a second name, or another file has its name.
killed a.raw w.raw
dd if=pad of="$(received w.raw)" conv=notrunc status=none
exists a.raw w.raw
killed a.raw l.raw
ln "$(received l.raw)" "$(received l2.raw)"
exists a.raw l.raw
killed a.raw c.raw
cp -a "$(received c.raw)" copy.raw
mv copy.raw "$(received c.raw)"
exists a.raw c.raw

# What the note says is on disk before the image has its name, or there is none.
vf_preload e2e/nosync.c
vf_expect_exit 4 env LD_PRELOAD="$vf_tmp/dieat.so $vf_tmp/nosync.so" VF_DIE_AT=after:n.raw:begin \
    VF_NOSYNC="$vf_dst/images/.n.raw.in" "$VMFERRY" migrate a.raw --to "$vf_dst" --as n.raw --json
vf_wait_for 20 far_end_gone || fail "the far end does not end"
[ ! -e "$vf_dst/images/.n.raw.in" ] || fail "a note that is not on disk"
exists a.raw n.raw
