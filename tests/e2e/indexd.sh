#!/bin/sh
# The service: what appears is indexed, what changes is read again, what is renamed keeps its map,
# what goes is forgotten; one for each store; settings, status, metrics, signals.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_indexd.sh"

more=$vf_tmp/more
indexd_settings 'settle = 300ms' 'forget-after = 500ms' 'retry = 500ms' 'poll-interval = 500ms' \
    "directories = $more" "metrics-file = $vf_tmp/indexd.prom"
mkdir -p "$more"
vf_expect_exit 1 "$VMFERRY" indexd status --json
json_is "$VF_OUT" .error.code notfound
vf_image "$more/old.raw" 2M seed=1
indexd_start
indexd_comes '.images.fresh == 1'

# One for each store.
vf_expect_exit 1 "$VMFERRY" indexd --json
json_is "$VF_OUT" .error.code busy

# It appears, also slowly; another format; names that are no images.
vf_image "$images/a.raw" 1M seed=2
qemu-img create -q -f qcow2 "$images/b.qcow2" 3M
qemu-io -f qcow2 -c 'write -P 7 1M 64k' "$images/b.qcow2" >/dev/null
: >"$images/notes.txt"
echo hidden >"$images/.hidden"
echo checksums >"$images/SHA256SUMS"
(for i in 1 2 3 4 5; do vf_bytes $i 100K; sleep 0.2; done) >"$images/slow.raw"
indexd_comes '.images.fresh == 4'
vf_expect_exit 0 "$VMFERRY" index ls --json
json_is "$VF_OUT" '[.images[] | select(.fresh) | .image] | length' 4
json_is "$VF_OUT" '.images[] | select(.image == "images/b.qcow2") | .format' qcow2
vf_expect_exit 0 "$VMFERRY" index check

# Renamed, within a directory and to another one: the map stays, nothing is read.
made=$(jq .indexed "$vf_tmp/status")
mv "$images/a.raw" "$images/a2.raw"
mv "$images/b.qcow2" "$more/b2.qcow2"
indexd_comes ".renamed == 2 and .images.fresh == 4 and $indexd_idle"
json_is "$vf_tmp/status" .indexed "$made"
vf_expect_exit 0 "$VMFERRY" index check --json
json_is "$VF_OUT" .checked 4

# Replaced by another one that has a map: one of them is left.
mv "$images/a2.raw" "$images/slow.raw"
indexd_comes ".images.total == 3 and .images.fresh == 3 and $indexd_idle"
vf_expect_exit 0 "$VMFERRY" index check --json
json_is "$VF_OUT" .checked 3

# Changed in place; removed.
vf_put "$images/slow.raw" 4K 8K 9
rm "$more/b2.qcow2"
indexd_comes ".indexed == $((made + 1)) and .forgotten == 1 and $indexd_idle"
vf_expect_exit 0 "$VMFERRY" index check --json
json_is "$VF_OUT" .checked 2

# Malformed: reported once, tried again; then good.
printf 'QFI\373\0\0\0\3garbage' >"$images/bad.qcow2"
truncate -s 1M "$images/bad.qcow2"
cp "$images/bad.qcow2" "$images/liar.raw"
indexd_comes '.images.failed == 1 and .images.skipped == 1 and .failed[0].tries >= 2'
[ "$(indexd_said bad.qcow2)" -eq 1 ] || fail "reported $(indexd_said bad.qcow2) times"
json_true "$vf_tmp/status" '.skipped[0].message | contains("--format")'
qemu-img create -q -f qcow2 "$images/good.qcow2" 1M
mv "$images/good.qcow2" "$images/bad.qcow2"
rm "$images/liar.raw"
indexd_comes '.images.failed == 0 and .images.skipped == 0 and .images.fresh == 3'

# Links that lead out, and files with several names, only if allowed.
vf_image "$vf_tmp/out.raw" 1M seed=5
ln -s "$vf_tmp/out.raw" "$images/link.raw"
ln "$images/bad.qcow2" "$images/second.qcow2"
indexd_comes '.images.skipped == 2 and .images.total == 4'
json_true "$vf_tmp/status" '.skipped[0].message | contains("hard links")'
rm "$images/second.qcow2"
indexd_comes '.images.skipped == 0 and .images.fresh == 3'

# Settings are read again; bad ones change nothing.
printf 'directories = nonsense\n' >>"$vf_src/vmferry.conf"
kill -HUP "$indexd_pid"
vf_wait_for 10 grep -q "the old settings stay" "$vf_tmp/indexd.log" || fail "not a word"
indexd_settings 'settle = 300ms' 'forget-after = 500ms' 'follow-links = yes' 'poll-interval = 500ms' \
    "directories = $more" "metrics-file = $vf_tmp/indexd.prom" 'group = tenant1'
kill -HUP "$indexd_pid"
indexd_comes '.images.fresh == 4'
vf_expect_exit 0 "$VMFERRY" index show "$vf_tmp/out.raw" --json
json_is "$VF_OUT" .group tenant1

# A directory that is gone does not cost its maps; when it is back, all is as before.
made=$(jq .indexed "$vf_tmp/status")
mv "$more" "$vf_tmp/elsewhere"
indexd_comes '.images.missing == 1'
sleep 1.5
indexd_is '.images.missing == 1 and ([.directories[] | select(.there | not)] | length) == 1' ||
    fail "forgotten: $(cat "$vf_tmp/status")"
mv "$vf_tmp/elsewhere" "$more"
indexd_comes ".images.missing == 0 and .images.fresh == 4 and .indexed == $made"

# index add beside it; a migration between other stores of this machine stops it, and it sees that.
# The migrations go on slowly until they have been seen.
vf_image "$vf_tmp/hand.raw" 1M seed=6
vf_expect_exit 0 "$VMFERRY" index add "$vf_tmp/hand.raw"
vf_image "$vf_tmp/slowly.raw" 6M seed=7
echo 100k >"$vf_tmp/rate"
VMFERRY_STORE=$vf_tmp/third \
    "$VMFERRY" migrate "$vf_tmp/slowly.raw" --to "$vf_dst" --limit-rate-file "$vf_tmp/rate" --compress none 2>/dev/null &
client=$!
vf_wait_for 10 test -s "$vf_dst/images/slowly.raw.part" || fail "it does not begin"
vf_image "$images/during.raw" 1M seed=8
indexd_comes '.paused == "a migration is running" and .images.reading == 1'
echo 100M >"$vf_tmp/rate"
wait $client || fail "the migration failed"
indexd_comes '.paused == null and .images.fresh == 5'
echo 100k >"$vf_tmp/rate"
vf_image "$vf_tmp/slowly2.raw" 6M seed=10
env "VMFERRY_RUN_DIR=$vf_tmp/other" "$VMFERRY" migrate "$vf_tmp/slowly2.raw" --to "$vf_dst" \
    --as again.raw --limit-rate-file "$vf_tmp/rate" --compress none 2>/dev/null &
client=$! # of somebody else, as it were, but from the service's store
vf_wait_for 10 test -s "$vf_dst/images/again.raw.part" || fail "it does not begin again"
vf_image "$images/during2.raw" 1M seed=9
indexd_comes '.paused == "a migration is running" and .images.reading == 1'
echo 100M >"$vf_tmp/rate"
wait $client || fail "the second migration failed"
rm "$images/during2.raw"
indexd_comes '.paused == null and .images.total == 5 and .images.fresh == 5'

# Metrics, on the socket and in the file; HTTP.
vf_expect_exit 0 "$VMFERRY" indexd status --metrics
grep -q '^vmferry_indexd_images{state="fresh"} 5$' "$VF_OUT" || fail "metrics"
vf_wait_for 20 grep -q '^vmferry_indexd_images{state="fresh"} 5$' "$vf_tmp/indexd.prom" ||
    fail "the file is not written"
vf_expect_exit 0 "$VMFERRY" indexd status
grep -q '^images *5 (5 fresh)$' "$VF_OUT" || fail "the status for people"

# It ends at once, also in the middle of a file.
indexd_settings 'settle = 100ms' 'read-rate = 100k'
kill -HUP "$indexd_pid"
vf_image "$images/long.raw" 8M seed=9
indexd_comes '.images.reading == 1'
indexd_stop
vf_expect_exit 1 "$VMFERRY" indexd status
vf_expect_exit 0 "$VMFERRY" index check
[ ! -e "$vf_src/run/indexd.sock" ] || fail "the socket is left"
