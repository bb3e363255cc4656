#!/bin/sh
# A domain of libvirt that is shut off moves with its disk, its definition and its UEFI variables, and
# starts at the other site; one that needs what is not there is refused before anything has changed.
. "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"
live_format=qcow2
. "$VF_TESTS/e2e/_live.sh"
requires test -s /usr/share/seabios/bios-256k.bin

live_guest() {
    virtual=$((live_disk << 20))
    at A qemu-img create -q -f qcow2 "$live_image" $virtual
    nvram=/var/lib/libvirt/qemu/nvram/g.fd
    at A mkdir -p "$(dirname $nvram)"
    vf_bytes 9 64K | at A tee $nvram >/dev/null
    # any two flash chips will do: what is in the second one has to travel
    libvirt_xml g "disk=qcow2:$live_image" "words=offset=$VF_GUEST_OFFSET" "xml=${1:-}" |
        sed "s|^ *<kernel>|<loader readonly='yes' type='pflash'>/usr/share/seabios/bios-256k.bin</loader><nvram>$nvram</nvram>&|; s|</os>|&<features><acpi/></features>|" \
            >"$vf_tmp/g.xml"
    virsh_at A define "$vf_tmp/g.xml" >/dev/null
}
live_up libvirt -r 4 -b 0

# shellcheck disable=SC2046 # lists of words
{
    vf_expect_exit 2 vmferry_at A $(live_args B)
    vf_expect_exit 0 vmferry_at A $(live_args B) --offline
}
json_is "$VF_OUT" '[.live, .running_at] | join(" ")' "false destination"
[ -z "$(virsh_at A list --all --name)" ] || fail "still defined in A"
[ "$(virsh_at B domstate g)" = "shut off" ] || fail "not shut off in B"
there=$(virsh_at B dumpxml g | sed -n 's/.*<nvram[^>]*>\(.*\)<.*/\1/p')
at B cat "$there" >"$vf_tmp/nvram"
vf_bytes 9 64K | cmp - "$vf_tmp/nvram" || fail "other UEFI variables: $there"
virsh_at B start g >/dev/null
guest_wrote "$live_log_B" 20
live_clean A
live_clean B

# a bridge that is not there, a network that is not there, a device of the host
for what in "<interface type='bridge'><source bridge='nobr0'/></interface>" \
    "<interface type='network'><source network='nonet'/></interface>" \
    "<hostdev mode='subsystem' type='usb'><source><address bus='1' device='1'/></source></hostdev>"; do
    live_guest "$what"
    virsh_at B destroy g >/dev/null 2>&1 || :
    virsh_at B undefine --nvram g >/dev/null 2>&1 || :
    # shellcheck disable=SC2046 # a list of words
    if vmferry_at A $(live_args B) --offline >"$VF_OUT" 2>"$VF_ERR"; then fail "taken: $what"; fi
    json_is "$VF_OUT" .error.code unsupported
    [ -z "$(virsh_at B list --all --name)" ] || fail "defined in B"
    virsh_at A undefine --nvram g >/dev/null
done
