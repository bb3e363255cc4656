#!/bin/sh
# Ten nodes over SSH, one dead and one silent: similar ranks the eight that answer within the deadline
# and names the two; what nodes told is kept, brought up to date by deltas, and replaced when damaged.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

cd "$vf_tmp" || exit
vf_ssh_up
server=ssh://$VF_SSH_USER@127.0.0.1:$VF_SSH_PORT
reach="--identity $VF_SSH_KEY --known-hosts $VF_SSH_KNOWN --remote-program $VMFERRY"

# Node 1 lacks 64 KiB of the image, node 2 lacks 128 KiB, ...; each has another image, too.
vf_image web.raw 8M seed=1
for i in 1 2 3 4 5 6 7 8; do
    cp web.raw "near$i.raw"
    vf_put "near$i.raw" 1M "$((i * 64))K" "1$i"
    vf_image "other$i.raw" 2M "seed=2$i"
    vf_expect_exit 0 "$VMFERRY" --store "n$i" index add "near$i.raw" "other$i.raw"
    vf_expect_exit 0 "$VMFERRY" node add "n$i" "$server$vf_tmp/n$i"
done

# How long the eight are to be waited for: three seconds, or more where the machine is busy.
begin=$(date +%s%3N)
# shellcheck disable=SC2086 # $reach is a list of words
vf_expect_exit 0 "$VMFERRY" similar web.raw --deadline 60 --json $reach
deadline=$((3 + ($(date +%s%3N) - begin) * 2 / 1000))
rm -rf "$vf_src/cache" # nothing is known of them

# Nothing listens at the ninth. The tenth is stopped: the kernel takes connections, nobody speaks.
mkdir keys
cp "$VF_SSH_DIR"/host_* "$VF_SSH_DIR"/id_* "$VF_SSH_DIR"/stranger* keys
silent=$vf_tmp/silent
vf_on_exit 'sh "$VF_TESTS/lib/sshd.sh" stop "$silent"'
port=$(VF_SSHD_KEYS=$vf_tmp/keys sh "$VF_TESTS/lib/sshd.sh" start "$silent" $$) || fail "no second sshd"
sh "$VF_TESTS/lib/sshd.sh" freeze "$silent"
vf_expect_exit 0 "$VMFERRY" node add dead "ssh://127.0.0.1:1"
vf_expect_exit 0 "$VMFERRY" node add silent "ssh://$VF_SSH_USER@127.0.0.1:$port$vf_tmp/n10"

# asked OPTION...: similar with that deadline; all must come back long before 20 s after it.
# shellcheck disable=SC2086 # $reach is a list of words
asked() {
    begin=$(date +%s%3N)
    vf_expect_exit 0 "$VMFERRY" similar web.raw --deadline "$deadline" --json $reach "$@"
    took=$(($(date +%s%3N) - begin))
    echo "complete after $took ms"
    [ "$took" -lt $((deadline * 1000 + 20000)) ] || fail "it waited for $took ms"
    json_is "$VF_OUT" '[.unreachable[].node] | sort | join(" ")' "dead silent"
    json_is "$VF_OUT" '.unreachable[] | select(.node == "silent") | .error.code' timeout
    json_is "$VF_OUT" '.unreachable[] | select(.node == "dead") | .error.code' unreachable
    json_true "$VF_OUT" '[.unreachable[].error.message | length > 0] | all'
    grep -q '^vmferry: dead: ' "$VF_ERR" && grep -q '^vmferry: silent: .*no answer' "$VF_ERR" ||
        fail "no word about the two that did not answer"
    json_is "$VF_OUT" "[.nodes[] | select(.node != \"$vf_src\" and .eligible)] | sort_by(.place) |
        map(.node) | join(\" \")" "n1 n2 n3 n4 n5 n6 n7 n8"
    json_is "$VF_OUT" .choice n1
}
of_nodes='[.nodes[] | select(.node | test("^n[0-9]$"))]'

# All is new: whole summaries; the four best are counted exactly.
asked
json_is "$VF_OUT" "$of_nodes | map(.summary) | unique | join(\" \")" whole
json_is "$VF_OUT" "$of_nodes | map(select(.exact) | .node) | join(\" \")" "n1 n2 n3 n4"
json_is "$VF_OUT" "$of_nodes | map(select(.exact) | .literal_blocks) | join(\" \")" "128 256 384 512"
whole=$(json_get "$VF_OUT" "$of_nodes | map(.summary_bytes) | add")

# Again: nothing is told twice.
asked --estimate
json_is "$VF_OUT" "$of_nodes | map(.summary) | unique | join(\" \")" same
json_true "$VF_OUT" "($of_nodes | map(.summary_bytes) | add) * 4 < $whole"

# An image comes to node 8: its summary is brought up to date, by less than all of it.
cp web.raw all.raw
vf_put all.raw 5M 4K 77
vf_expect_exit 0 "$VMFERRY" --store n8 index add all.raw
vf_expect_exit 0 "$VMFERRY" --store n8 index rm near8.raw
# shellcheck disable=SC2086 # $reach is a list of words
news() { vf_expect_exit 0 "$VMFERRY" similar web.raw --json $reach --node n7 --node n8; }
news
json_is "$VF_OUT" '[.nodes[] | .summary] | join(" ")' "same delta"
json_true "$VF_OUT" '.nodes[1].summary_bytes > 0'
json_is "$VF_OUT" '[.choice, .nodes[1].literal_blocks] | join(" ")' "n8 8"

# Damaged files in the cache are not believed, and are replaced.
count=0
for f in "$vf_src"/cache/summaries/*; do
    vf_put "$f" 100 64 9
    count=$((count + 1))
done
[ "$count" -ge 8 ] || fail "only $count summaries are kept"
news
json_is "$VF_OUT" '[.nodes[] | .summary] | join(" ")' "whole whole"
json_is "$VF_OUT" '[.choice, .nodes[1].literal_blocks] | join(" ")' "n8 8"
news
json_is "$VF_OUT" '[.nodes[] | .summary] | join(" ")' "same same"

# One that lets us in and then hangs; nobody else was asked, so that is a failure.
# Not an ECDSA key: libssh2 leaks two numbers for each of its signatures.
ssh-keygen -q -t ed25519 -N '' -f mute.key
echo "restrict,command=\"cat >/dev/null; :\" $(cat mute.key.pub)" >>"$VF_SSH_DIR/authorized_keys"
vf_expect_exit 4 "$VMFERRY" similar web.raw --node n1 --deadline 1 --json \
    --identity "$vf_tmp/mute.key" --known-hosts "$VF_SSH_KNOWN"
json_is "$VF_OUT" .error.code timeout
