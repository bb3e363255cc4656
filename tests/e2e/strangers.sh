#!/bin/sh
# Far ends that are not vmferry, speak another version, or go away; and such near ends.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"

cd "$vf_tmp" || exit
vf_image a.raw 1M seed=1

# far_end NAME SCRIPT: a program that stands in for ssh, and behaves so.
far_end() {
    printf '#!/bin/sh\n%s\n' "$2" >"$1"
    chmod +x "$1"
}
# meets NAME CODE TEXT: what a migration to such a far end says.
meets() {
    vf_expect_exit 4 "$VMFERRY" migrate a.raw --to ssh://h/s --ssh-command "$vf_tmp/$1" --json
    json_is "$VF_OUT" .error.code "$2"
    grep -qF -- "$3" "$VF_ERR" || fail "$1: no '$3' in the message"
}
far_end hello 'echo Welcome to this machine; cat >/dev/null'
meets hello protocol "Welcome to this machine"
far_end noise 'head -c 100000 /dev/urandom; cat >/dev/null'
meets noise protocol "not vmferry"
far_end silent 'exit 0'
meets silent unreachable ""
far_end angry 'echo "no shell for you" >&2; exit 1'
meets angry unreachable "no shell for you"
far_end big 'printf "VMFERRY\n\002\377\377\377\377"; cat >/dev/null'
meets big protocol ""
far_end turn 'printf "VMFERRY\n\020\000\000\000\000"; cat >/dev/null'
meets turn protocol ""

# A far end of another time: FAIL (type 17) with code 13 and its text.
text="no common protocol version: the source speaks 1 to 1, the receiver 7 to 9"
{
    printf 'VMFERRY\n\021'
    printf "\\$(printf %03o $((${#text} + 2)))\\000\\000\\000\\015\\$(printf %03o ${#text})%s" "$text"
} >later.bin
far_end later "cat $vf_tmp/later.bin; cat >/dev/null"
meets later protocol "far end: no common protocol version"

# A near end of another time: HELLO (type 1) that speaks 7 to 9.
{
    printf 'VMFERRY\n\001\013\000\000\000\007\000\011\000\001'
    printf '\004test\000'
} >hello.bin
got=0
"$VMFERRY" --store "$vf_dst" serve <hello.bin >answer 2>said || got=$?
[ $got -eq 4 ] || fail "serve ended with $got"
grep -q "no common protocol version" answer || fail "the source was not told"

# A near end that leaves after the greeting, and one that sends half a message.
printf 'VMFERRY\n\001\013\000\000\000\001\000\001\000\001\004test\000' >greet.bin
got=0
"$VMFERRY" --store "$vf_dst" serve <greet.bin >answer 2>said || got=$?
[ $got -eq 4 ] || fail "serve ended with $got"
{
    cat greet.bin
    printf '\003\377\000\000\000abc'
} >half.bin
got=0
"$VMFERRY" --store "$vf_dst" serve <half.bin >answer 2>said || got=$?
[ $got -eq 4 ] || fail "serve ended with $got"
[ -z "$(find "$vf_dst/images" -type f ! -name '.*')" ] || fail "something was written"
