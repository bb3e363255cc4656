#!/bin/sh
# A host is emptied: many migrations to one node at once, through an sshd that lets few log in at a time, while
# the node is asked and its index proved. All arrive, and of two with one name exactly one.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

cd "$vf_tmp" || exit
many="1 2 3 4 5 6 7 8"
vf_image base.raw 24M seed=1
vf_expect_exit 0 at_dst index add base.raw
for i in $many; do
    cp base.raw "i$i.raw"
    vf_put "i$i.raw" 2M 2M "10$i"
    vf_put "i$i.raw" 8M 4M 200 # the same in all, and not there yet
done
vf_expect_exit 0 "$VMFERRY" index add i1.raw i2.raw i3.raw
VF_SSHD_STARTUPS=3:100:3
export VF_SSHD_STARTUPS
ssh_node

# go NAME IMAGE [OPTION...]: in the background, its report in NAME.json, its status in NAME.status.
go() (
    name=$1
    image=$2
    shift 2
    rc=0
    # shellcheck disable=SC2086 # $vf_reach is a list of words
    "$VMFERRY" migrate "$image" --to "$vf_to" --json $vf_reach "$@" >"$name.json" 2>"$name.err" || rc=$?
    echo $rc >"$name.status"
)
look() {
    while [ ! -e enough ]; do
        at_dst index ls --json >ls.json && at_dst index check --json >check.json &&
            "$VMFERRY" similar i1.raw --node "$vf_dst" --json >similar.json || return
    done
}
look &
looking=$!
all=''
for i in $many; do
    go "m$i" "i$i.raw" &
    all="$all $!"
done
for i in 1 2; do
    go "s$i" "i$i.raw" --as same.raw &
    all="$all $!"
done
# shellcheck disable=SC2086 # a list of words
wait $all
: >enough
wait $looking || fail "the node could not be asked: $(cat ls.json check.json similar.json)"

for i in $many; do
    [ "$(cat "m$i.status")" = 0 ] || fail "i$i.raw: $(cat "m$i.err")"
    is_sound "m$i.json"
    cmp "i$i.raw" "$(received "i$i.raw")"
done
# Which of the two came first is open; when it had ended already, the other finds its image.
[ "$(sort s1.status s2.status | tr '\n' ' ')" = "0 4 " ] || fail "same.raw: $(cat s1.err s2.err)"
for i in 1 2; do
    if [ "$(cat s$i.status)" = 0 ]; then
        cmp "i$i.raw" "$(received same.raw)"
    else
        json_true "s$i.json" '.error.code == "busy" or .error.code == "exists"'
    fi
done
no_litter
vf_expect_exit 0 at_dst index check --json
json_is "$VF_OUT" '[.checked, .bad] | join(" ")' "10 0"
json_true "$VF_OUT" '[.images[].ok] | all'
