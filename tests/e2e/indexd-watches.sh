#!/bin/sh
# There are too few inotify watches, or none: the service says what is short of, and polls.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_indexd.sh"
requires unshare --user --map-root-user sh -c 'echo 2 >/proc/sys/user/max_inotify_watches'

# The limits of a user namespace are its own, so the service lives in one.
indexd_limited() {
    {
        echo '#!/bin/sh'
        echo "echo $1 >/proc/sys/user/max_inotify_watches"
        echo "echo $2 >/proc/sys/user/max_inotify_instances"
        echo "exec '$VMFERRY' \"\$@\""
    } >"$vf_tmp/limited"
    "$VMFERRY" indexd status >/dev/null 2>&1 && fail "a service runs"
    unshare --user --map-root-user sh "$vf_tmp/limited" indexd -v 2>>"$vf_tmp/indexd.log" </dev/null &
    indexd_pid=$!
    vf_wait_for 10 indexd_answers || fail "the service does not answer: $(cat "$vf_tmp/indexd.log")"
}

mkdir -p "$images" "$vf_tmp/one" "$vf_tmp/two"
vf_image "$vf_tmp/two/a.raw" 1M seed=1
indexd_settings 'settle = 200ms' 'poll-interval = 500ms' "directories = $vf_tmp/one, $vf_tmp/two"

indexd_limited 2 8
indexd_comes '.images.fresh == 1'
json_is "$vf_tmp/status" '[.directories[].watched] | join(" ")' "events events polling"
json_true "$vf_tmp/status" '.directories[2].problem | contains("fs.inotify.max_user_watches")'
vf_image "$vf_tmp/two/b.raw" 1M seed=2
indexd_comes '.images.fresh == 2'
[ "$(indexd_said max_user_watches)" -eq 1 ] || fail "said $(indexd_said max_user_watches) times"
indexd_stop

indexd_limited 2 0
json_is "$vf_tmp/status" '[.directories[].watched] | join(" ")' "polling polling polling"
[ "$(indexd_said max_user_instances)" -eq 1 ] || fail "it is not said why"
vf_image "$vf_tmp/one/c.raw" 1M seed=3
indexd_comes '.images.fresh == 3'
indexd_stop
