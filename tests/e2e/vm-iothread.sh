#!/bin/sh
# timeout: 240
# A running guest whose disks have iothreads, one by virtio-blk and one by virtio-scsi, moves there and back,
# also to a machine without them, and goes back when something breaks. Where its QEMU would die of being
# read, it is not: neither by the service nor for a dry run.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_indexd.sh"
. "$VF_TESTS/e2e/_vm.sh"

vf_preload e2e/dieat.c
VF_GUEST_IOTHREAD=1
VF_GUEST_SCSI=1
vm_sites
VF_GUEST_FILL=4M
vm_guest g1 raw:a.raw qcow2:b.qcow2 words=logdev=vda,sda
qmp() { guest_qmp - "$vf_tmp/$1/qmp2" "$2"; }
threads() { qmp "$1" query-iothreads | jq length; }
[ "$(threads a)" = 2 ] || fail "it has no iothreads"

echo "== reading it"
cp "$vf_src/vmferry.conf" "$vf_tmp/conf"
indexd_settings 'settle = 300ms' 'scan-interval = 1s' "directories = $vf_tmp/a" "qmp-sockets = $vf_tmp/*/qmp"
indexd_start
if [ "$(qmp a query-version | jq .qemu.major)" -lt 9 ]; then
    vf_expect_exit 1 "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" --dry-run --json
    json_is "$VF_OUT" .error.code unsupported
    indexd_comes '(.skipped + .failed)[0].message // "" | contains("has iothreads")'
else
    vf_expect_exit 0 "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" --dry-run --json
    indexd_comes '[.moving[].image[-6:]] | index(".qcow2")'
fi
indexd_stop
cp "$vf_tmp/conf" "$vf_src/vmferry.conf"
guest_goes_on "$vf_tmp/src.log"
[ "$(qmp a query-block-exports)" = "[]" ] || fail "an export is left"

# back: it goes on at the source, on its own disks.
back() {
    guest_goes_on "$vf_tmp/src.log"
    no_overlays
    vm_gone "$vf_tmp/dst.q"
    [ "$(qmp a query-block-jobs)" = "[]" ] || fail "a job is left"
    [ "$(qmp a query-block | jq -r '[.[].inserted.image.filename] | sort | join(" ")')" = \
        "$vf_tmp/a/a.raw $vf_tmp/a/b.qcow2" ] || fail "the guest has other disks"
}
in_memory() { grep -q '"phase": "memory"' "$vf_src/run/vm-g1/move.json" 2>/dev/null; }

echo "== the guest's QEMU there is killed"
"$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" --limit-rate 8M >"$VF_OUT" 2>"$VF_ERR" &
vf_wait_for 30 in_memory || fail "no memory travels"
vf_wait_for 30 test -s "$vf_tmp/dst.q/pid" || fail "no QEMU there"
sleep 0.7
kill -KILL "$(cat "$vf_tmp/dst.q/pid")"
rm "$vf_tmp/dst.q/pid"
! wait $! || fail "the move did not fail"
back

echo "== vmferry is killed when all is there, and the far end not told"
vf_expect_exit 137 env LD_PRELOAD="$vf_tmp/dieat.so" VF_DIE_AT='after:move.json:"commit"' \
    "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" --replace
guest_stands "$vf_tmp/src.log"
vf_expect_exit 0 "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --abort --json
json_is "$VF_OUT" .running_at source
vf_wait_for 10 vm_gone "$vf_tmp/dst.q"
back

# moves FROM TO IOTHREADS [OPTION...]
moves() {
    vf_from=$1
    vf_there=$2
    vf_n=$3
    shift 3
    vf_expect_exit 0 "$VMFERRY" --store "$vf_tmp/$vf_from" migrate --vm g1 --to "$vf_tmp/$vf_there" --replace --json "$@"
    json_is "$VF_OUT" .running_at destination
    guest_goes_on "$vf_tmp/$vf_there.log"
    [ "$(threads "$vf_there.q")" = "$vf_n" ] || fail "it has other iothreads"
    no_overlays
}
echo "== there, back to a machine without iothreads, and there again"
moves src dst 2 --qmp "$vf_tmp/a/qmp"
vm_gone "$vf_tmp/a"
sed -i "s/^VF_GUEST_IOTHREAD=.*/VF_GUEST_IOTHREAD=/" "$vf_tmp/start.src"
moves dst src 0
moves src dst 2
echo "== its memory follows it"
moves dst src 0 --postcopy
moves src dst 2 --postcopy
json_is "$VF_OUT" .phases.hand_off.postcopy true
no_litter

vm_end dst.q
vm_judge "$vf_dst/images/a.raw" raw
vm_judge "$vf_dst/images/b.qcow2" qcow2 sda
