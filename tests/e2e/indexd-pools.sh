#!/bin/sh
# The directories of libvirt's storage pools are looked after, also those that come later.
# timeout: 240
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_indexd.sh"
. "$VF_TESTS/lab/guest.sh"
libvirt_up

pool=$(site_file A /var/lib/libvirt/images)
mkdir -p "$vf_src" "$pool/pool2"
printf '%s\n' '[indexd]' 'settle = 300ms' 'scan-interval = 1s' 'io-pressure = 0' 'cpu-pressure = 0' \
    >"$vf_src/vmferry.conf"
vf_image "$pool/one.raw" 1M seed=1
vf_image "$pool/pool2/two.raw" 1M seed=2
at A env "VMFERRY_STORE=$vf_src" "$VMFERRY" indexd -v >/dev/null 2>>"$vf_tmp/indexd.log" </dev/null &
vf_wait_for 20 indexd_answers || fail "no answer: $(cat "$vf_tmp/indexd.log")"
indexd_comes '.images.fresh == 1'
json_is "$vf_tmp/status" '[.directories[].path] | sort | .[0]' "$vf_src/images"
json_true "$vf_tmp/status" '[.directories[].path] | index("/var/lib/libvirt/images") != null'

virsh_at A pool-define-as second dir --target /var/lib/libvirt/images/pool2 >/dev/null
virsh_at A pool-start second >/dev/null
indexd_comes '.images.fresh == 2'
vf_expect_exit 0 "$VMFERRY" index ls --json
json_is "$VF_OUT" '[.images[].image] | sort | join(" ")' \
    "/var/lib/libvirt/images/one.raw /var/lib/libvirt/images/pool2/two.raw"

# A pool that is stopped is not looked after any more; its maps stay.
virsh_at A pool-destroy second >/dev/null
indexd_comes '.images.total == 1'
sleep 1.5
vf_expect_exit 0 "$VMFERRY" index ls --json
json_is "$VF_OUT" '.images | length' 2
