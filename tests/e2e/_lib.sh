# shellcheck shell=sh
# _lib.sh - what whole migrations share. A test starts with
#
#   . "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
#
# $vf_src and $vf_dst are two stores; $vf_src is the one that commands use.

. "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"

vf_src=$vf_tmp/src
vf_dst=$vf_tmp/dst
VMFERRY_STORE=$vf_src
export VMFERRY_STORE

# at_dst ARGUMENT...: a command at the destination.
at_dst() { "$VMFERRY" --store "$vf_dst" "$@"; }

# received NAME: the path of an image that was received.
received() { echo "$vf_dst/images/$1"; }

# on_disk FILE: KiB of it that are there; 0 without a file.
on_disk() { echo $(($(stat -c %b "$1" 2>/dev/null || echo 0) / 2)); }
# has_come FILE KIB: so much is. A .part has its full size from the beginning.
has_come() { [ "$(on_disk "$1")" -ge "$2" ]; }

# is_sound REPORT: the promises that hold for the report of every migration.
is_sound() {
    json_is "$1" .verified true
    json_is "$1" .block_size 512
    json_is "$1" '.zero_blocks + .shared_blocks + .duplicate_blocks + .literal_blocks == .blocks' true
    json_is "$1" '.blocks == (((.virtual_size + 511) / 512) | floor)' true
    json_true "$1" '.extra_blocks >= 0 and .seconds > 0 and .wire_bytes_sent > 0 and
        .wire_bytes_received > 0'
    json_true "$1" '.digest | test("^sha256:[0-9a-f]{64}$")'
}

# moved IMAGE NAME [OPTION...]: migrates it to $vf_dst as NAME, and proves that it arrived whole.
# The report is then in $VF_OUT.
moved() {
    vf_image_moved=$1
    vf_name=$2
    shift 2
    vf_expect_exit 0 "$VMFERRY" migrate "$vf_image_moved" --to "${vf_to:-$vf_dst}" --as "$vf_name" \
        --json "$@"
    is_sound "$VF_OUT"
    json_is "$VF_OUT" .path "$(received "$vf_name")"
    same_content "$vf_image_moved" "$(received "$vf_name")"
    no_litter
}

# Nothing but images is left behind at the destination.
no_litter() {
    [ -z "$(find "$vf_dst/images" -name '*.part' -o -name '.*.in')" ] || fail "a .part file is left, or a note"
    [ -z "$(find "$vf_dst/tmp" "$vf_src/tmp" -type f)" ] || fail "temporary files are left"
}

# far_end_gone [STORE]: true when no far end works on the images of that store any more.
far_end_gone() {
    [ -z "$(find /proc/[0-9]*/fd -lname "${1:-$vf_dst}/images/.vmferry.lock" 2>/dev/null)" ]
}

# ssh_node: starts a server; $vf_to is then the destination through it, and $vf_reach the options.
ssh_node() {
    vf_ssh_up "$@"
    vf_to=ssh://$VF_SSH_USER@127.0.0.1:$VF_SSH_PORT$vf_dst
    # shellcheck disable=SC2034 # for the test
    vf_reach="--identity $VF_SSH_KEY --known-hosts $VF_SSH_KNOWN --remote-program $VMFERRY"
}
