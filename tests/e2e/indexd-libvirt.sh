#!/bin/sh
# A running domain of libvirt with a qcow2 disk that it writes all the time: the service reads it through
# libvirt, marks the map as moving, and leaves nothing behind, killed or not; a migration takes blocks
# from it and is right; backups of others are left alone, and the guest loses nothing.
# timeout: 300
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_indexd.sh"
. "$VF_TESTS/lab/guest.sh"
libvirt_up
guest_build

pool=$(site_file A /var/lib/libvirt/images)
run=$(site_file A /var/lib/libvirt/qemu)
settings() { # LINE...
    mkdir -p "$vf_src"
    printf '%s\n' '[indexd]' 'settle = 300ms' 'scan-interval = 1s' 'io-pressure = 0' \
        'cpu-pressure = 0' 'retry = 500ms' "$@" >"$vf_src/vmferry.conf"
}
start() {
    at A env "VMFERRY_STORE=$vf_src" "$VMFERRY" indexd -v >/dev/null 2>>"$vf_tmp/indexd.log" </dev/null &
    vf_wait_for 20 indexd_answers || fail "no answer: $(tail -n 3 "$vf_tmp/indexd.log")"
    site_pid=$(jq .pid "$vf_tmp/status") # as the site counts
}
in_store() { at A env "VMFERRY_STORE=$vf_src" "$VMFERRY" "$@"; }
has_view() { virsh_at A backup-dumpxml g 2>/dev/null | grep -q "/vmferry-view-"; }
no_view() { ! virsh_at A backup-dumpxml g >/dev/null 2>&1; }
nothing_left() {
    vf_wait_for 20 no_view || fail "a view is left open: $(virsh_at A backup-dumpxml g)"
    [ -z "$(find "$pool" "$run" -name '*vmferry-view*')" ] || fail "left: $(find "$pool" "$run" -name '*vmferry*')"
}

vf_image "$vf_tmp/g.raw" 32M seed=1
truncate -s 112M "$vf_tmp/g.raw"
qemu-img convert -f raw -O qcow2 "$vf_tmp/g.raw" "$pool/g.qcow2"
truncate -s 2M "$vf_tmp/second.raw"
qemu-img convert -f raw -O qcow2 "$vf_tmp/second.raw" "$vf_tmp/second.qcow2" # elsewhere: not indexed
guest_console A /run/libvirt/g.serial "$vf_tmp/g.log"
libvirt_guest A g disk=qcow2:/var/lib/libvirt/images/g.qcow2 "disk=qcow2:$vf_tmp/second.qcow2" \
    "words=offset=$((32 << 20))"
guest_wrote "$vf_tmp/g.log" 20

# It is indexed while it runs, and again after a while.
settings 'moving-interval = 2s'
start
indexd_comes '.images.moving == 1 and .indexed >= 2' 60
guest_goes_on "$vf_tmp/g.log"
vf_expect_exit 0 in_store index ls --json
json_is "$VF_OUT" '[.images[] | .image + " " + .format + " " + .state + " " + (.fresh | tostring)] | join(",")' \
    '/var/lib/libvirt/images/g.qcow2 qcow2 moving false'
json_true "$VF_OUT" '.images[0].blocks == 229376 and .images[0].zero_blocks < 165000'
vf_expect_exit 0 in_store index check

# Another machine, much like this one, comes while the guest writes: blocks come from its disk.
settings 'moving-interval = 1h'
kill_in_site() { at A kill "-$1" "$site_pid"; }
kill_in_site HUP
vf_put "$vf_tmp/g.raw" 20M 256K 9
vf_expect_exit 0 at A env "VMFERRY_STORE=$vf_dst" "$VMFERRY" migrate "$vf_tmp/g.raw" --to "$vf_src" \
    --as twin.raw --json
is_sound "$VF_OUT"
json_true "$VF_OUT" '.shared_blocks > 0.95 * (.blocks - .zero_blocks) and .wire_bytes_sent < 4000000'
cmp "$vf_tmp/g.raw" "$images/twin.raw" || fail "the twin is wrong"
guest_goes_on "$vf_tmp/g.log"
nothing_left

# The report of what is shared counts it, too.
vf_expect_exit 0 at A env "VMFERRY_STORE=$vf_dst" "$VMFERRY" similar "$vf_tmp/g.raw" --node "$vf_src" --json
json_true "$VF_OUT" '[.nodes[0].images[] | select(.image | endswith("g.qcow2"))][0].shared_blocks > 60000'

# Killed in the middle of reading, it leaves a view open; the next one ends it.
settings 'moving-interval = 1s' 'read-rate = 2M'
kill_in_site HUP
vf_wait_for 60 has_view || fail "it does not read: $(tail -n 5 "$vf_tmp/indexd.log")"
kill_in_site KILL
sleep 0.3
has_view || fail "the test came too late"
settings 'moving-interval = 1h'
start
[ "$(indexd_said 'left over, was ended')" = 1 ] || fail "nothing said: $(tail -n 5 "$vf_tmp/indexd.log")"
nothing_left
guest_goes_on "$vf_tmp/g.log"

# Whoever ends the view by hand disturbs nobody: it is read through the next one.
settings 'moving-interval = 1s' 'read-rate = 8M'
kill_in_site HUP
vf_wait_for 60 has_view || fail "it does not read again"
virsh_at A domjobabort g || fail "the view cannot be ended"
made=$("$VMFERRY" indexd status --json | jq .indexed)
indexd_comes ".indexed > $made and .images.moving == 1 and .images.failed == 0" 60

# A migration on this machine ends the view at once; what others do with the guest does not wait long.
vf_wait_for 60 has_view || fail "it does not read once more"
at A env "VMFERRY_STORE=$vf_tmp/third" "$VMFERRY" migrate "$vf_tmp/second.raw" --to "$vf_dst" -q ||
    fail "no migration"
settings 'moving-interval = 1h'
kill_in_site HUP
nothing_left

# The backup of somebody else is left alone; until it is over the image waits.
cat >"$vf_tmp/backup.xml" <<XML
<domainbackup mode='pull'><server transport='unix' socket='/run/libvirt/theirs.sock'/></domainbackup>
XML
virsh_at A backup-begin g "$vf_tmp/backup.xml" >/dev/null || fail "no backup"
settings 'moving-interval = 1s'
kill_in_site HUP
indexd_comes '.skipped[0].message | contains("backup of the guest")' 60
kill_in_site TERM
vf_wait_for 20 at A sh -c '! kill -0 "$1"' sh "$site_pid" || fail "it does not end"
start
indexd_comes '.skipped[0].message | contains("backup of the guest")' 60
virsh_at A backup-dumpxml g | grep -q theirs.sock || fail "their backup was ended"
virsh_at A domjobabort g
indexd_comes '.images.moving == 1 and .images.skipped == 0' 60
guest_goes_on "$vf_tmp/g.log"

# With checkpoints only what has changed is read again, and the map is still that of the disk.
settings 'moving-interval = 1s' '[libvirt]' 'checkpoints = yes'
kill_in_site HUP
marks() { virsh_at A checkpoint-list g --name | grep -c '^vmferry-' || :; }
has_mark() { [ "$(marks)" = 1 ]; }
read_bytes() { "$VMFERRY" indexd status --json | jq .read_bytes; }
indexed() { "$VMFERRY" indexd status --json | jq .indexed; }
vf_wait_for 60 has_mark || fail "no checkpoint: $(tail -n 5 "$vf_tmp/indexd.log")"
made=$(indexed)
indexd_comes ".indexed > $made and .reading == []" 60
made=$(indexed) before=$(read_bytes)
indexd_comes ".indexed >= $made + 2" 60
[ $(($(read_bytes) - before)) -lt 20000000 ] || fail "all was read again: $(($(read_bytes) - before)) bytes"
guest_goes_on "$vf_tmp/g.log"
virsh_at A suspend g >/dev/null
made=$(indexed)
indexd_comes ".indexed >= $made + 2" 60
digest_of() { in_store index ls --json | jq -r '.images[] | select(.image | endswith("g.qcow2")) | .digest'; }
moving=$(digest_of)
[ "$(marks)" -le 2 ] || fail "too many checkpoints: $(virsh_at A checkpoint-list g --name)"
settings 'moving-interval = 1h' '[libvirt]' 'checkpoints = yes'
kill_in_site HUP
nothing_left
vf_wait_for 20 has_mark || fail "not one checkpoint: $(virsh_at A checkpoint-list g --name)"

# A move of the guest needs overlays, which libvirt makes only without checkpoints: ours go.
at A env "VMFERRY_STORE=$vf_src" "$VMFERRY" migrate --vm g --to "$vf_dst" --dry-run >/dev/null 2>&1 || :
[ "$(marks)" = 0 ] || fail "checkpoints are left: $(virsh_at A checkpoint-list g --name)"

# The guest ends: its disk is an image like others, and holds all that it was promised.
virsh_at A destroy g >/dev/null
indexd_comes '.images.moving == 0 and .images.fresh == 2' 60
nothing_left
[ "$(digest_of)" = "$moving" ] || fail "the map made of changes was another one"
vf_expect_exit 0 in_store index check --json
json_is "$VF_OUT" .checked 2
VF_GUEST_OFFSET=$((32 << 20)) guest_judge "$pool/g.qcow2" qcow2 "$vf_tmp/g.log"
kill_in_site TERM
