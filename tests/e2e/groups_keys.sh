#!/bin/sh
# Two keys with different grants: serve enforces the sharing groups of the key that logged in,
# whatever the client asks for.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

cd "$vf_tmp" || exit
vf_image red.raw 2M seed=1
vf_image blue.raw 2M seed=2
vf_image both.raw 2M seed=1
vf_put both.raw 1M 1M 2
vf_expect_exit 0 at_dst index add --group red red.raw
vf_expect_exit 0 at_dst index add --group blue blue.raw
ssh_node
# Not an ECDSA key: libssh2 leaks two numbers for each of its signatures.
ssh-keygen -q -t ed25519 -N '' -f blue.key
{
    echo "restrict,command=\"$VMFERRY --store $vf_dst serve --groups red\" $(cat "$VF_SSH_DIR/id_ed25519.pub")"
    echo "restrict,command=\"$VMFERRY --store $vf_dst serve --groups blue,default\" $(cat blue.key.pub)"
} >"$VF_SSH_DIR/authorized_keys"
red="--identity $VF_SSH_DIR/id_ed25519 --known-hosts $VF_SSH_KNOWN"
blue="--identity $vf_tmp/blue.key --known-hosts $VF_SSH_KNOWN"

# literals KEY GROUP: what would have to travel of both.raw.
# shellcheck disable=SC2086 # $1 is a list of words
literals() {
    vf_expect_exit 0 "$VMFERRY" similar both.raw --node "$vf_to" --json --group "$2" $1
    json_get "$VF_OUT" '.nodes[0].literal_blocks'
}
# shellcheck disable=SC2086 # $1 is a list of words
refused() {
    key=$1
    shift
    vf_expect_exit 4 "$VMFERRY" "$@" $key --json
    json_is "$VF_OUT" .error.code denied
    grep -q "not granted" "$VF_ERR" || fail "no word about the group"
}
[ "$(literals "$red" red)" = 2048 ] || fail "red does not find red"
[ "$(literals "$blue" blue)" = 2048 ] || fail "blue does not find blue"
json_is "$VF_OUT" '.nodes[0].images | length' 1

# The other's group is refused: to count, to look at, to write into; so is what asks for no group.
refused "$red" similar both.raw --node "$vf_to" --group blue
refused "$blue" similar both.raw --node "$vf_to" --group red
refused "$red" similar --all --node "$vf_to" --group blue
refused "$red" similar both.raw --node "$vf_to"
refused "$red" migrate both.raw --to "$vf_to" --group blue
refused "$red" migrate both.raw --to auto --node "$vf_to" --group blue
[ ! -e "$(received both.raw)" ] || fail "it was done all the same"

# --remote-program cannot widen a forced command.
refused "$red --remote-program $VMFERRY" migrate both.raw --to "$vf_to" --group blue

# shellcheck disable=SC2086 # lists of words
{
    moved both.raw r.raw --group red $red
    json_is "$VF_OUT" '[.group, .literal_blocks] | join(" ")' "red 2048"
    # What came for red is of no use to blue.
    moved both.raw b.raw --group blue $blue
    json_is "$VF_OUT" '[.group, .literal_blocks] | join(" ")' "blue 2048"
    vf_expect_exit 0 "$VMFERRY" similar --all --node "$vf_to" --group red --json $red
    json_is "$VF_OUT" '[.images[].image | sub(".*/"; "")] | sort | join(" ")' "r.raw red.raw"
}

# The store's own settings hold for all keys: --groups only narrows them.
printf '[serve]\ngroups = red\n' >"$vf_dst/vmferry.conf"
refused "$blue" similar both.raw --node "$vf_to" --group blue
[ "$(literals "$red" red)" = 0 ] || fail "red is not granted any more"
