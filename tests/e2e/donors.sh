#!/bin/sh
# Resident images that changed, shrank or vanished cost bytes, never a wrong one.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

cd "$vf_tmp" || exit
vf_image a.raw 8M seed=1
for d in gone shrunk changed grown replaced; do
    cp a.raw $d.raw
    rm -rf "$vf_dst"
    vf_expect_exit 0 at_dst index add $d.raw
    case $d in
    gone) rm gone.raw ;;
    shrunk) truncate -s 1M shrunk.raw ;;
    changed) vf_put changed.raw 1M 4M 2 ;;
    grown) head -c 1M /dev/zero >>grown.raw ;;
    replaced)
        vf_image other.raw 8M seed=3
        mv other.raw replaced.raw
        ;;
    esac
    moved a.raw a.raw
    json_is "$VF_OUT" .shared_blocks 0 # a donor that is not what was indexed is none
done

# While a transfer runs, at different times.
for ms in 050 150 300 500; do
    rm -rf "$vf_dst"
    vf_image late.raw 8M seed=1
    vf_expect_exit 0 at_dst index add late.raw
    { vf_bytes 5 2M; cat a.raw; } >target.raw
    "$VMFERRY" migrate target.raw --to "$vf_dst" --limit-rate 2M --compress none --json >"$VF_OUT" \
        2>"$VF_ERR" &
    client=$!
    sleep 0.$ms
    vf_bytes 9 8M | dd of=late.raw bs=64K conv=notrunc status=none
    wait $client || fail "a donor that changes fails the migration"
    is_sound "$VF_OUT"
    same_content target.raw "$(received target.raw)"
done

# Bytes that change under an unchanged file: only the digests can tell.
[ "$(id -u)" -eq 0 ] || skip "the rest needs root"
requires mke2fs -V
mkdir mnt
mke2fs -q -t ext4 -b 4096 -F fs.img 64M
mount -o loop fs.img mnt 2>/dev/null || skip "cannot mount a loop device"
vf_on_exit "umount -l '$vf_tmp/mnt' 2>/dev/null"
cp a.raw mnt/donor.raw
sync -f mnt
sleep 0.1
rm -rf "$vf_dst"
vf_expect_exit 0 at_dst index add mnt/donor.raw
umount mnt
no_loop() { [ -z "$(losetup -j fs.img)" ]; } # else what it has cached is mounted again
vf_wait_for 30 no_loop || fail "the loop device stays"
# A byte of the donor's blocks 100 and 8000 changes in the file system below it.
for b in 100 8000; do
    at=$(debugfs -R "bmap /donor.raw $((b / 8))" fs.img 2>/dev/null)
    [ "${at:-0}" -gt 0 ] || fail "block $b is nowhere in the file system"
    printf '\252\125' | dd of=fs.img bs=1 seek=$((at * 4096 + b % 8 * 512 + 77)) conv=notrunc status=none
done
mount -o loop fs.img mnt
cmp -s a.raw mnt/donor.raw && fail "the donor did not change"
vf_expect_exit 0 at_dst index ls --json
json_is "$VF_OUT" '.images[0].fresh' true
moved a.raw a.raw
json_true "$VF_OUT" '.repaired_blocks > 0 and .extra_blocks > 0 and .copied_blocks > 0'
vf_expect_exit 1 at_dst index check mnt/donor.raw
