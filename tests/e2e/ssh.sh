#!/bin/sh
# Migrations over a stock sshd, with both clients, and what is refused.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

cd "$vf_tmp" || exit
vf_image a.raw 4M seed=1
cp a.raw near.raw
vf_put near.raw 2M 128K 2
vf_expect_exit 0 at_dst index add near.raw
ssh_node

# shellcheck disable=SC2086 # $vf_reach is a list of words
{
    vf_expect_exit 0 "$VMFERRY" node check "$vf_to" $vf_reach --json
    json_is "$VF_OUT" '.nodes[0] | [.ok, .transport, .resident_images] | join(" ")' "true libssh2 1"
    moved a.raw a.raw $vf_reach
    json_is "$VF_OUT" '[.shared_blocks, .literal_blocks] | join(" ")' "7936 256"
    json_is "$VF_OUT" .node "$vf_to"
    vf_expect_exit 0 "$VMFERRY" similar a.raw --node "$vf_to" $vf_reach --json
    json_is "$VF_OUT" '.nodes[0].literal_blocks' 0
    moved a.raw by-ssh.raw $vf_reach --ssh-command ssh
    # A client that the user has named ends by itself.
    printf '#!/bin/sh\nssh "$@"\nsleep 0.3\necho ended >"%s/ended"\n' "$vf_tmp" >wrapper
    chmod +x wrapper
    moved a.raw by-wrapper.raw $vf_reach --ssh-command "$vf_tmp/wrapper"
    [ -e ended ] || fail "the wrapper was cut off"
    vf_expect_exit 0 "$VMFERRY" node check "$vf_to" $vf_reach --ssh-command ssh --json
    json_is "$VF_OUT" '.nodes[0].transport' ssh
    # A name from the inventory; a store that does not exist yet; the far end's own default.
    vf_expect_exit 0 "$VMFERRY" node add there "$vf_to"
    vf_expect_exit 4 "$VMFERRY" migrate a.raw --to there $vf_reach --json
    json_is "$VF_OUT" .error.code exists
    vf_expect_exit 0 "$VMFERRY" migrate a.raw $vf_reach --json \
        --to "ssh://$VF_SSH_USER@127.0.0.1:$VF_SSH_PORT$vf_tmp/new/store"
    cmp a.raw "$vf_tmp/new/store/images/a.raw"
}

# refused CODE TEXT OPTION...: status 4, that code, that text in the message.
refused() {
    code=$1
    text=$2
    shift 2
    vf_expect_exit 4 "$VMFERRY" migrate a.raw --to "$vf_to" --as refused.raw --json "$@"
    json_is "$VF_OUT" .error.code "$code"
    grep -qF -- "$text" "$VF_ERR" || fail "no '$text' in the message"
    [ ! -e "$(received refused.raw)" ] || fail "it was done all the same"
}
: >empty
ssh-keygen -q -t ed25519 -N '' -f other
echo "[127.0.0.1]:$VF_SSH_PORT $(cut -d' ' -f1,2 other.pub)" >changed
fingerprint=$(ssh-keygen -lf "$VF_SSH_DIR/host_ed25519.pub" | cut -d' ' -f2)
refused auth "$fingerprint" --identity "$VF_SSH_KEY" --known-hosts empty --remote-program "$VMFERRY"
refused auth "changed" --identity "$VF_SSH_KEY" --known-hosts changed --remote-program "$VMFERRY"
refused auth "" --identity other --known-hosts "$VF_SSH_KNOWN" --remote-program "$VMFERRY"
refused unreachable "" --identity "$VF_SSH_KEY" --known-hosts "$VF_SSH_KNOWN" \
    --remote-program /nonexistent/vmferry
refused protocol "not vmferry" --identity "$VF_SSH_KEY" --known-hosts "$VF_SSH_KNOWN" \
    --remote-program echo

# A forced command: whatever is asked for, this store is what is served.
forced="command=\"$VMFERRY --store $vf_dst serve\",restrict"
echo "$forced $(cat "$VF_SSH_KEY.pub")" >"$VF_SSH_DIR/authorized_keys"
vf_to=ssh://$VF_SSH_USER@127.0.0.1:$VF_SSH_PORT/somewhere/else
moved a.raw forced.raw --identity "$VF_SSH_KEY" --known-hosts "$VF_SSH_KNOWN" \
    --remote-program '/bin/rm'
[ ! -e /somewhere/else ] || fail "the forced command was not forced"

# Nobody listens there.
vf_ssh_down
refused unreachable "" --identity "$VF_SSH_KEY" --known-hosts "$VF_SSH_KNOWN"
