#!/bin/sh
# Options of a migration: compression, rate, streams, dry runs, progress, replacing.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

cd "$vf_tmp" || exit
vf_image noise.raw 2M seed=1
# Lines of a log: what levels differ in, which numbers in a row are not.
awk 'BEGIN { split("mail web disk cron user shop", who); split("starts ends fails waits", does)
    for (i = r = 1; i < 60000; i++) {
        r = (r * 69069 + 1) % 4294967296
        print "Jan " i % 28 " " who[r % 997 % 6 + 1] "[" r % 10007 "]: " does[r % 1009 % 4 + 1] " after " r % 65537 " ms"
    } }' | head -c 2M >text.raw

# Compression saves where it can.
moved text.raw none.raw --compress none
plain=$(json_get "$VF_OUT" .wire_bytes_sent)
json_true "$VF_OUT" '.wire_bytes_sent > 2000000'
rm -r "$vf_dst"
moved text.raw one.raw --compress 1
one=$(json_get "$VF_OUT" .wire_bytes_sent)
rm -r "$vf_dst"
moved text.raw best.raw --compress 19
best=$(json_get "$VF_OUT" .wire_bytes_sent)
[ "$best" -lt "$one" ] && [ "$one" -lt "$((plain / 2))" ] || fail "sizes: $plain, $one, $best"
rm -r "$vf_dst"

# A dry run says the same numbers and leaves no image.
vf_expect_exit 0 "$VMFERRY" migrate noise.raw --to "$vf_dst" --dry-run --json
json_is "$VF_OUT" '[.dry_run, .verified, .literal_blocks] | join(" ")' "true false 4096"
json_true "$VF_OUT" '.wire_bytes_sent > 2000000 and .wire_bytes_sent < 2200000'
[ ! -e "$(received noise.raw)" ] || fail "a dry run made an image"
no_litter

# A limited rate is kept; progress goes to standard error in the form asked for.
start=$(date +%s%N)
moved noise.raw noise.raw --limit-rate 1M --compress none --progress json --streams 4
took=$((($(date +%s%N) - start) / 1000000))
[ "$took" -ge 1800 ] || fail "2 MB at 1 MB/s took $took ms"
grep -c '^{"progress":' "$VF_ERR" >/dev/null || fail "no JSON progress"
grep '^{"progress":' "$VF_ERR" | tail -n 1 >progress
json_true progress '.progress.bytes_total == 2097152 and .progress.wire_bytes_sent > 0'
[ "$(wc -l <"$VF_OUT")" -eq 1 ] || fail "more than one object"

# What exists is not touched without --replace, and not where the settings say no.
before=$(sha256sum <"$(received noise.raw)")
vf_expect_exit 4 "$VMFERRY" migrate text.raw --to "$vf_dst" --as noise.raw --json
json_is "$VF_OUT" .error.code exists
vf_expect_exit 4 "$VMFERRY" migrate text.raw --to "$vf_dst" --as noise.raw --dry-run --json
json_is "$VF_OUT" .error.code exists
printf '[serve]\nallow-replace = no\n' >"$vf_dst/vmferry.conf"
vf_expect_exit 4 "$VMFERRY" migrate text.raw --to "$vf_dst" --as noise.raw --replace --json
json_is "$VF_OUT" .error.code denied
[ "$before" = "$(sha256sum <"$(received noise.raw)")" ] || fail "a refused migration changed the image"
no_litter
rm "$vf_dst/vmferry.conf"

# With --replace the old image is also what blocks are taken from.
vf_copy noise.raw 0 1M text.raw 512K
moved text.raw noise.raw --replace
json_is "$VF_OUT" .shared_blocks 2048
vf_expect_exit 0 at_dst index ls --json
json_is "$VF_OUT" '.images | length' 1
vf_expect_exit 0 at_dst index check

# A directory or a link of that name is nothing to replace.
mkdir "$(received d.raw)"
ln -s "$vf_tmp/elsewhere" "$(received l.raw)"
for n in d.raw l.raw; do
    vf_expect_exit 4 "$VMFERRY" migrate text.raw --to "$vf_dst" --as $n
    vf_expect_exit 4 "$VMFERRY" migrate text.raw --to "$vf_dst" --as $n --replace
done
ln -s "$vf_tmp/elsewhere" "$(received s.raw.part)"
moved text.raw s.raw
[ ! -e elsewhere ] || fail "a link led out of the image directory"

# Limits of the destination.
printf '[serve]\nmax-image-size = 1M\n' >"$vf_dst/vmferry.conf"
vf_expect_exit 4 "$VMFERRY" migrate noise.raw --to "$vf_dst" --as big.raw --json
json_is "$VF_OUT" .error.code denied
printf '[serve]\naccept = no\n' >"$vf_dst/vmferry.conf"
vf_expect_exit 4 "$VMFERRY" migrate noise.raw --to "$vf_dst" --as big.raw
vf_expect_exit 0 "$VMFERRY" similar noise.raw --node "$vf_dst"
printf '[transfer]\nmemory = 128M\n' >"$vf_dst/vmferry.conf"
moved noise.raw small-window.raw

# -q: nothing but errors, and what was asked for as JSON. An error is one line, whatever the far end says.
vf_expect_exit 0 "$VMFERRY" migrate noise.raw --to "$vf_dst" --as quiet.raw -q
[ ! -s "$VF_OUT" ] && [ ! -s "$VF_ERR" ] || fail "-q says something"
# Its last words count, also when they come after what gave it away.
printf '#!/bin/sh\necho one >&2\necho this is no vmferry\nsleep 0.1\necho two >&2\n' >babble
chmod +x babble
vf_expect_exit 4 "$VMFERRY" migrate noise.raw --to ssh://nowhere --ssh-command "$vf_tmp/babble" --json
json_is "$VF_OUT" '.error.message | test("\n") or test("one") or (test("says: two") | not)' false
