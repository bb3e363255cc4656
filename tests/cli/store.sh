#!/bin/sh
# Which store a command works with, and what a new one looks like.
. "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"

cd "$vf_tmp" || exit
vf_image a.raw 1M seed=1

# --store wins over the variable, which wins over the default; it may be relative.
vf_expect_exit 0 env VMFERRY_STORE="$vf_tmp/env" "$VMFERRY" index ls
[ -d env/index ] || fail "VMFERRY_STORE is not used"
vf_expect_exit 0 env VMFERRY_STORE="$vf_tmp/env" "$VMFERRY" --store opt/deep index add a.raw
[ -d opt/deep/index ] || fail "--store is not used"
vf_expect_exit 0 "$VMFERRY" --store opt/deep index ls --json
json_is "$VF_OUT" '.images | length' 1
vf_expect_exit 0 env VMFERRY_STORE="$vf_tmp/env" "$VMFERRY" index ls --json
json_is "$VF_OUT" '.images | length' 0
if [ "$(id -u)" -ne 0 ]; then
    vf_expect_exit 0 "$VMFERRY" index ls
    [ -d "$HOME/.local/share/vmferry/index" ] || fail "no store in HOME"
    vf_expect_exit 0 env XDG_DATA_HOME="$vf_tmp/xdg" "$VMFERRY" index ls
    [ -d xdg/vmferry/index ] || fail "XDG_DATA_HOME is not used"
fi

# Nobody else may look into it.
for d in opt/deep opt/deep/index opt/deep/images opt/deep/tmp; do
    [ "$(stat -c %a $d)" = 700 ] || fail "$d has mode $(stat -c %a $d)"
done

# Settings: where images go; mistakes are refused with their line.
mkdir pool
printf '[store]\nimages = %s\n' "$vf_tmp/pool" >opt/deep/vmferry.conf
vf_expect_exit 0 "$VMFERRY" node check "$vf_tmp/opt/deep" --json
json_is "$VF_OUT" '.nodes[0].images_dir' "$vf_tmp/pool"
printf '[store]\nimages = %s\n' "$vf_tmp/none" >opt/deep/vmferry.conf
vf_expect_exit 1 "$VMFERRY" --store opt/deep index ls --json
json_is "$VF_OUT" .error.code notfound
printf '\n[serve]\nreplace = yes\n' >opt/deep/vmferry.conf
vf_expect_exit 2 "$VMFERRY" --store opt/deep index ls
grep -q "$vf_tmp/opt/deep/vmferry.conf: line 3: unknown setting" "$VF_ERR" || fail "no line in the message"
: >good.conf
vf_expect_exit 0 "$VMFERRY" --store opt/deep --config good.conf index ls

# once TEXT ARGUMENT...: status 1, and TEXT is the whole message: it gives the reason once.
once() {
    text=$1
    shift
    vf_expect_exit 1 "$VMFERRY" --store opt/deep "$@"
    [ "$(cat "$VF_ERR")" = "vmferry: $text" ] || fail "not '$text' but '$(cat "$VF_ERR")'"
}
once "settings: open 'missing.conf': No such file or directory" --config missing.conf index ls
once "settings: open 'missing.conf': No such file or directory" --config missing.conf indexd
ln -s nodes.json opt/deep/nodes.json
once "open '$vf_tmp/opt/deep/nodes.json': Too many levels of symbolic links" --config good.conf node ls
rm opt/deep/nodes.json

# A store that cannot be made is an error, not a crash.
: >file
vf_expect_exit 1 "$VMFERRY" --store file/store index ls --json
json_true "$VF_OUT" '.error.message | contains("file")'
