#!/bin/sh
# timeout: 240
# A running guest whose disks have iothreads. Where its QEMU would die of being read, it is not: neither by
# the service nor for a dry run.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_indexd.sh"
. "$VF_TESTS/e2e/_vm.sh"

VF_GUEST_IOTHREAD=1
VF_GUEST_SCSI=1
vm_sites
VF_GUEST_FILL=4M
vm_guest g1 raw:a.raw qcow2:b.qcow2 words=logdev=vda,sda
qmp() { guest_qmp - "$vf_tmp/a/qmp2" "$@"; }

echo "== reading it"
major=$(qmp query-version | jq .qemu.major)
indexd_settings 'settle = 300ms' 'scan-interval = 1s' "directories = $vf_tmp/a" "qmp-sockets = $vf_tmp/*/qmp"
indexd_start
if [ "$major" -lt 9 ]; then
    vf_expect_exit 1 "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" --dry-run --json
    json_is "$VF_OUT" .error.code unsupported
    indexd_comes '(.skipped + .failed)[0].message // "" | contains("has iothreads")'
else
    vf_expect_exit 0 "$VMFERRY" migrate --vm g1 --qmp "$vf_tmp/a/qmp" --to "$vf_dst" --dry-run --json
    indexd_comes '[.moving[].image[-6:]] | index(".qcow2")'
fi
indexd_stop
guest_goes_on "$vf_tmp/src.log"
[ "$(qmp query-block-exports)" = "[]" ] || fail "an export is left"
