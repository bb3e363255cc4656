#!/bin/sh
# A running domain of libvirt that is defined nowhere, with UEFI, a TPM, two disks and a CD-ROM, goes to the node
# that costs least, over 20 ms, and back: its UEFI variables and the TPM's registers go on, and no write is lost.
. "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"
. "$VF_TESTS/e2e/_live.sh"
code=/usr/share/OVMF/OVMF_CODE_4M.fd
requires test -s $code
requires swtpm_setup --help
live_fixed=8
VF_GUEST_OFFSET=$((live_fixed << 20))
VF_GUEST_RAM=224
second=/srv/vm/images/second.qcow2
cd=/srv/vm/images/cd.iso

live_guest() {
    for vf_s in A B; do vf_bytes 5 4M | at $vf_s tee $cd >/dev/null; done
    vf_bytes 7 "${live_fixed}M" >"$vf_tmp/g.raw"
    truncate -s "${live_disk}M" "$vf_tmp/g.raw"
    at A cp --sparse=always "$vf_tmp/g.raw" "$live_image"
    at A qemu-img convert -f raw -O qcow2 "$vf_tmp/g.raw" $second
    libvirt_xml g "disk=raw:$live_image" "disk=qcow2:$second" \
        "words=offset=$VF_GUEST_OFFSET logdev=vda,vdb count=yes" "xml=
    <disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='$cd'/>
      <target dev='sda' bus='sata'/><readonly/></disk>
    <disk type='file' device='cdrom'><target dev='sdb' bus='sata'/><readonly/></disk>
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>" |
        sed "s|^ *<kernel>|<loader readonly='yes' type='pflash'>$code</loader><nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'/>&|
            s|</os>|&<features><acpi/></features>|" >"$vf_tmp/g.xml"
    virsh_at A create "$vf_tmp/g.xml" >"$VF_OUT" 2>"$VF_ERR" || fail "the domain does not start"
    guest_wrote "$live_log_A" 20
}

# The last count, and the register that it was shown with.
count() { awk '$2 == "C" { n = $3 } END { print n + 0 }' "$1"; }
register() { awk '$2 == "C" { r = $4 } END { print r }' "$1"; }
counts_from() { [ "$(count "$1")" -gt "$2" ]; }

live_up libvirt -r 20 -b 1000
vf_wait_for 30 counts_from "$live_log_A" 2 || fail "no UEFI variables: $(tail -n 3 "$live_log_A")"
pcr=$(register "$live_log_A")
echo "$pcr" | grep -q '[1-9A-F]' || fail "the TPM measures nothing: $pcr"

for way in "A B" "B A"; do
    from=${way% *} to=${way#* }
    at $from env HOME=/root "$VMFERRY" --store /srv/vm node add there ssh://$to/srv/vm >/dev/null
    # shellcheck disable=SC2046 # lists of words
    vf_expect_exit 0 vmferry_at $from migrate --vm g --to auto --remote-program "$VMFERRY" --replace --json -v
    json_is "$VF_OUT" '[.node, .running_at, ([.disks[].way] | join(","))] | join(" ")' \
        "there destination copy,copy,leave,empty"
    before=$(count "$(live_log $from)")
    live_runs_at $to
    live_clean $from
    live_clean $to
    vf_wait_for 10 counts_from "$(live_log $to)" "$before" || fail "the UEFI variable is another: $before"
    [ "$(register "$(live_log $to)")" = "$pcr" ] || fail "the TPM is another"
    [ "$(virsh_at $to dominfo g | awk '$1 == "Persistent:" { print $2 }')" = no ] || fail "defined in $to"
    [ -z "$(virsh_at $from list --all --name)" ] || fail "still known in $from"
    # the UEFI variables' file stays: what is defined nowhere has only its user to remove that
    left=$(at $from find /var/lib/libvirt/swtpm -type f)
    [ -z "$left" ] || fail "left in $from: $left"
done
live_judge A
at A cat $second >"$vf_tmp/second.img"
cat "$live_log_A" "$live_log_B" | sed -e 's/ T / - /' -e 's/ T:vdb / T /' >"$vf_tmp/second.log"
guest_judge "$vf_tmp/second.img" qcow2 "$vf_tmp/second.log"
cat "$VF_OUT"
