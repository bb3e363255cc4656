#!/bin/sh
# Images that QEMU has open for writing: raw ones are indexed as moving and give blocks, qcow2 ones
# are left alone until they are closed.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_indexd.sh"
requires qemu-io

indexd_settings 'settle = 300ms' 'retry = 500ms' 'scan-interval = 1s'
mkdir -p "$images"
vf_image "$images/disk.raw" 8M seed=1
qemu-img convert -f raw -O qcow2 "$images/disk.raw" "$images/disk.qcow2"
for f in raw qcow2; do
    mkfifo "$vf_tmp/$f"
    qemu-io -f $f "$images/disk.$f" <"$vf_tmp/$f" >/dev/null 2>&1 &
    eval "qemu_$f=$!"
    vf_on_exit "kill -KILL $! 2>/dev/null"
done
exec 7>"$vf_tmp/raw" 8>"$vf_tmp/qcow2"
echo 'write -P 1 0 64k' >&7
echo 'write -P 2 0 64k' >&8
echo flush >&7
echo flush >&8
sleep 0.3

indexd_start
indexd_comes '.images.moving == 1 and .images.skipped == 1'
json_true "$vf_tmp/status" '.skipped[0].message | contains("running guest")'
vf_expect_exit 0 "$VMFERRY" index ls --json
json_is "$VF_OUT" '[.images[] | .state + " " + (.fresh | tostring)] | join(",")' 'moving false'
vf_expect_exit 0 "$VMFERRY" index check

# It goes on writing; another machine with the same content comes, and takes blocks from the disk.
echo 'write -P 3 4M 128k' >&7
echo flush >&7
sleep 0.3
cp "$images/disk.raw" "$vf_tmp/frozen.raw"
vf_put "$vf_tmp/frozen.raw" 1M 64K 5
VMFERRY_STORE=$vf_dst vf_expect_exit 0 "$VMFERRY" migrate "$vf_tmp/frozen.raw" --to "$vf_src" --json
is_sound "$VF_OUT"
json_true "$VF_OUT" '.wire_bytes_sent < 600000' # not 8 MB
cmp "$vf_tmp/frozen.raw" "$images/frozen.raw" || fail "the copy is wrong"
indexd_comes '.images.fresh == 1 and .images.moving == 1'
sleep 1.5
indexd_is '.images.moving == 1' || fail "a moving one is read again and again"

# A migration *from* it reads it anew, and refuses while the guest writes.
vf_expect_exit 1 "$VMFERRY" migrate "$images/disk.raw" --to "$vf_dst" --json
json_is "$VF_OUT" .error.code busy

# The guests stop: both are ordinary images now.
echo quit >&7
echo quit >&8
wait "$qemu_raw" "$qemu_qcow2" || :
indexd_comes '.images.fresh == 3 and .images.moving == 0 and .images.skipped == 0'
indexd_quiet 20
vf_expect_exit 0 "$VMFERRY" index check --json
json_is "$VF_OUT" .checked 3
indexd_stop
