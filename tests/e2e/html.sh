#!/bin/sh
# The page of similar --html: well-formed, no script and no request, small, its numbers those of the
# JSON, names are text. Of --all, too.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

cd "$vf_tmp" || exit

# Ten nodes with ten images each, names of all kinds.
VMFERRY_STORE="$vf_tmp/own <i>&amp;"
evil="<script>alert(\"1\")<b> & 'q'.raw"
image="dir</script>$evil"
mkdir 'dir<'
vf_image "$image" 1M seed=1
vf_hole "$image" 128K 128K
vf_copy "$image" 0 32K "$image" 512K
for i in 0 1 2 3 4 5 6 7 8 9; do
    mkdir "images$i"
    for k in 1 2 3 4 5 6 7 8 9; do
        vf_image "images$i/guest$k.raw" 64K "seed=1$i$k"
    done
    cp "$image" "images$i/<b onclick=\"x\">$i&amp;.raw"
    vf_put "images$i/<b onclick=\"x\">$i&amp;.raw" 256K "$((i * 64 + 64))K" "10$i"
    vf_expect_exit 0 "$VMFERRY" --store "store$i" index add "images$i"/*
    vf_expect_exit 0 "$VMFERRY" node add "node$i" "$vf_tmp/store$i"
done
vf_expect_exit 0 "$VMFERRY" node add gone ssh://127.0.0.1:1
vf_expect_exit 0 "$VMFERRY" index add "images9/guest1.raw"

# tame PAGE: the promises that hold for every page.
tame() {
    [ "$(wc -c <"$1")" -lt 1000000 ] || fail "$1 has $(wc -c <"$1") bytes"
    xmllint --html --noout "$1" 2>complaints || fail "xmllint does not read $1"
    # libxml2 knows the elements of HTML 4; all else that it says is an error
    grep 'error :' complaints | grep -vE 'Tag (main|section|svg|rect|path|details|summary) invalid' >bad || :
    [ ! -s bad ] || fail "$1 is not well-formed: $(head -n 3 bad)"
    xmllint --html --xpath '//*' "$1" >/dev/null 2>&1 || fail "no elements in $1"
    [ "$(of "$1" 'count(//script[not(@type="application/json")]|//b|//i|//img|//a|//link|//iframe)')" = 0 ] ||
        fail "elements that are not ours in $1"
    [ "$(of "$1" 'count(//@*[starts-with(name(),"on") or name()="src" or name()="href"])')" = 0 ] ||
        fail "attributes that are not ours in $1"
    ! grep -qiE 'https?:|url\(|@import' "$1" || fail "$1 asks the network"
    grep -q "Content-Security-Policy.*default-src 'none'" "$1" || fail "$1 has no policy"
    of "$1" 'string(//script)' >embedded.json
}
# of PAGE XPATH: what a parser of HTML finds.
of() { xmllint --html --xpath "$2" "$1" 2>/dev/null; }

vf_expect_exit 0 "$VMFERRY" similar "$image" --html page.html --json --rate 1M
tame page.html
json_is "$VF_OUT" '[.nodes | length, (map(.images[]) | length)] | join(" ")' "11 101"
for f in "$VF_OUT" embedded.json; do # the page has nine digits of each fraction
    jq -S 'walk(if type == "number" then . * 1e6 | round else . end)' "$f" >"$(basename "$f").round"
done
cmp "$(basename "$VF_OUT").round" embedded.json.round || fail "the page holds other numbers than the JSON"
[ "$(of page.html 'string(//h1)')" = "Where script>$evil should go" ] || fail "the title is another"

# What is to be seen is what the JSON says: the ranking, row by row, and the heat map.
# shellcheck disable=SC2016 # $n is of jq
json_get "$VF_OUT" '.blocks as $n | .nodes | sort_by(.place)[] |
    "\(.node | @base64) \(.place) \(10000 * .shared_blocks / $n | round)"' >want
i=0
: >got
while [ "$i" -lt 11 ]; do
    i=$((i + 1))
    row="(//table)[1]//tbody/tr[$i]"
    share=$(of page.html "string($row/td[2])" | tr -d '~. %' | sed 's/^0*\(.\)/\1/')
    echo "$(of page.html "string($row/th)" | head -c -1 | base64 -w 0) $(of page.html "string($row/td[1])") $share" >>got
done
paste -d ' ' want got | awk '{ d = $6 - $3 }
    d < -1 || d > 1 || $1 != $4 || $2 != $5 { bad = 1 }
    END { exit bad || NR != 11 }' || fail "the ranking of the page is another"

# The page of --all: the matrix.
vf_expect_exit 0 "$VMFERRY" similar --all --html all.html --json --node node0 --node node1
tame all.html
json_is "$VF_OUT" '.images | length' 20
json_is embedded.json '[.images[].image]' "$(json_get "$VF_OUT" '[.images[].image]')"
[ "$(of all.html 'count((//table)[2]//tbody/tr/td)')" = 400 ] || fail "the matrix is not whole"

# A node of many images: those that are nearest to it, and how near the others can be at most. The JSON has all.
mkdir many
vf_image most.raw 256K seed=1
for i in $(seq 130); do
    vf_image "many/$i.raw" 64K "seed=$((1000 + i))"
    vf_copy most.raw 0 "$((i % 13 * 4096))" "many/$i.raw" 0
done
vf_expect_exit 0 "$VMFERRY" --store "$vf_tmp/crowded" index add many/*.raw
vf_expect_exit 0 "$VMFERRY" similar most.raw --node "$vf_tmp/crowded"
[ "$(grep -c '/many/' "$VF_OUT")" = 10 ] || fail "not ten images are shown"
grep -qE '^  120 others, at most +17\.19 % +17\.19 %$' "$VF_OUT" || fail "the others are not told of"
sed -n '/many/p' "$VF_OUT" | awk '$2 + 0 > last + 0 && NR > 1 { exit 1 } { last = $2 }' || fail "the nearest is not the first"
vf_expect_exit 0 "$VMFERRY" similar most.raw --node "$vf_tmp/crowded" --html many.html --json
tame many.html
json_is "$VF_OUT" '.nodes[0].images | length' 130
[ "$(of many.html 'count((//table[contains(@class,"heat")])[last()]//tbody/tr)')" = 101 ] || fail "not a hundred images have a row"
grep -q 'And 30 other images, of which none holds more than 3\.1 %' many.html || fail "the page does not tell of the others"
