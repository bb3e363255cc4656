#!/bin/sh
# Every command explains itself, with its options and examples, and does nothing else.
. "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"

export VMFERRY_STORE="$vf_tmp/store"
vf_expect_exit 0 "$VMFERRY" --help
commands=$(sed -n '/^Commands:/,/^$/ { /^  / s/^  \([a-z]* *[a-z]*\)  .*/\1/p; }' "$VF_OUT")
[ "$(echo "$commands" | wc -l)" -ge 12 ] || fail "the list of commands is short"
cp "$VF_OUT" "$vf_tmp/help"

echo "$commands" | while read -r c; do
    # shellcheck disable=SC2086 # two words
    vf_expect_exit 0 "$VMFERRY" $c --help
    head -n 1 "$VF_OUT" | grep -q "^Usage: vmferry $c " || fail "$c: no usage line"
    grep -q '^Examples:$' "$VF_OUT" || fail "$c: no examples"
    grep -q '^  --json ' "$VF_OUT" || fail "$c: no global options"
    [ ! -s "$VF_ERR" ] || fail "$c: --help writes to standard error"
    [ -z "$(awk 'length > 110' "$VF_OUT")" ] || fail "$c: a line is too long"
done

# Also before the command, in one letter, and for a group of commands.
vf_expect_exit 0 "$VMFERRY" -h
cmp -s "$VF_OUT" "$vf_tmp/help" || fail "-h and --help differ"
vf_expect_exit 0 "$VMFERRY" --help similar
grep -q '^Usage: vmferry similar ' "$VF_OUT" || fail "--help before the command"
for group in index node; do
    vf_expect_exit 0 "$VMFERRY" $group --help
    grep -q "^  $group add " "$VF_OUT" || fail "$group --help does not list its commands"
done

vf_expect_exit 0 "$VMFERRY" --version
grep -qE '^vmferry [0-9]+\.[0-9]+\.[0-9]+$' "$VF_OUT" || fail "--version"
vf_expect_exit 0 "$VMFERRY" --json --version
json_true "$VF_OUT" '.version | test("^[0-9]+[.][0-9]+[.][0-9]+$")'
vf_expect_exit 0 "$VMFERRY" migrate --help --json
json_true "$VF_OUT" '.help | startswith("Usage:")'

# What cannot be written is a failure.
got=0
"$VMFERRY" --help >/dev/full 2>"$VF_ERR" || got=$?
[ $got -eq 1 ] || fail "a full standard output gives $got"
got=0
"$VMFERRY" --json --version >/dev/full 2>"$VF_ERR" || got=$?
[ $got -eq 1 ] || fail "a full standard output gives $got"

[ ! -e "$VMFERRY_STORE" ] || fail "--help made a store"
