#!/bin/sh
# Who only asks makes no store: one that is not there counts as empty, on this machine and behind SSH.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
vf_ssh_up

cd "$vf_tmp" || exit
server=ssh://$VF_SSH_USER@127.0.0.1:$VF_SSH_PORT
mkdir tmp mounted none
export TMPDIR="$vf_tmp/tmp"
vf_image a.raw 2M seed=1
vf_hole a.raw 1M 512K
ssh_opts="--identity $VF_SSH_KEY --known-hosts $VF_SSH_KNOWN --remote-program $VMFERRY"

# told FILE: what is said of a node, but where it is, how much the summary took and how much is free.
told() {
    jq -S '.nodes[0] | del(.node, .summary_bytes, .free_bytes)' "$1"
    json_true "$1" '.nodes[0].free_bytes > 0'
}
# planned FILE: the same of a dry run.
planned() { jq -S 'del(.node, .path, .seconds, .ranking)' "$1"; }

# What is said of a store that is there and empty is what has to be said.
vf_expect_exit 0 "$VMFERRY" --store "$vf_tmp/there" index ls
vf_expect_exit 0 "$VMFERRY" similar a.raw --node "$vf_tmp/there" --json
told "$VF_OUT" >similar.want
vf_expect_exit 0 "$VMFERRY" migrate a.raw --to "$vf_tmp/there" --dry-run --json
planned "$VF_OUT" >plan.want

# asked NODE PATH: nothing is made at the path.
asked() {
    # shellcheck disable=SC2086 # options
    vf_expect_exit 0 "$VMFERRY" similar a.raw --node "$1" $ssh_opts --json
    told "$VF_OUT" | cmp similar.want - || fail "similar says something else of $1"
    # shellcheck disable=SC2086
    vf_expect_exit 0 "$VMFERRY" similar --all --node "$1" $ssh_opts --json
    # shellcheck disable=SC2086
    vf_expect_exit 0 "$VMFERRY" migrate a.raw --to "$1" --dry-run $ssh_opts --json
    planned "$VF_OUT" | cmp plan.want - || fail "--dry-run says something else of $1"
    json_is "$VF_OUT" .path "$2/images/a.raw"
    # shellcheck disable=SC2086
    vf_expect_exit 0 "$VMFERRY" migrate a.raw --to auto --node "$1" --dry-run $ssh_opts --json
    [ -z "$(find none mounted -mindepth 1)" ] || fail "something was made at $2"
    [ -z "$(ls -A tmp)" ] || fail "a temporary file is left"
}

for dir in none/deep/store mounted; do # the second: the file system of the store is not mounted there
    asked "$vf_tmp/$dir" "$vf_tmp/$dir"
    asked "$server$vf_tmp/$dir" "$vf_tmp/$dir"
done

# What is in the way above is no such store; settings are read where there are some.
: >file
vf_expect_exit 1 "$VMFERRY" similar a.raw --node "$vf_tmp/file/store" --json
printf '[serve]\naccept = no\n' >mounted/vmferry.conf
vf_expect_exit 0 "$VMFERRY" similar a.raw --node "$vf_tmp/mounted" --json
json_is "$VF_OUT" '.nodes[0].writable' false
rm mounted/vmferry.conf

# The node that is chosen gets its store, those that were only asked do not.
vf_image b.raw 2M seed=1
vf_expect_exit 0 "$VMFERRY" --store "$vf_tmp/there" index add b.raw
vf_expect_exit 0 "$VMFERRY" migrate a.raw --to auto --node "$vf_tmp/there" \
    --node "$vf_tmp/none/deep/store" --json
[ -z "$(ls -A none)" ] || fail "asking made a store"
vf_expect_exit 0 "$VMFERRY" migrate a.raw --to "$vf_tmp/none/deep/store" --json
is_sound "$VF_OUT"
same_content a.raw none/deep/store/images/a.raw
