#!/bin/sh
# Wrong usage ends with status 2 and a phrase that helps, for people and for programs.
. "${VF_TESTS:-$(dirname "$0")/..}/lib/functions.sh"

export VMFERRY_STORE="$vf_tmp/store"
vf_image "$vf_tmp/a.raw" 1M seed=1

# wrong TEXT ARGUMENT...: status 2, TEXT in the message, and the same as JSON.
wrong() {
    text=$1
    shift
    vf_expect_exit 2 "$VMFERRY" "$@"
    grep -qF -- "$text" "$VF_ERR" || fail "no '$text' in the message of: $*"
    [ "$(wc -l <"$VF_ERR")" -eq 1 ] || fail "more than one line: $*"
    [ ! -s "$VF_OUT" ] || fail "something on standard output: $*"
    vf_expect_exit 2 "$VMFERRY" "$@" --json
    json_is "$VF_OUT" .error.code usage
    json_is "$VF_OUT" '.error.message | length > 0' true
    [ "$(wc -l <"$VF_OUT")" -eq 1 ] || fail "not one line of JSON: $*"
}

wrong "a command is missing"
wrong "unknown command 'frobnicate' (see 'vmferry --help')" frobnicate
wrong "did you mean 'migrate'" migarte
wrong "did you mean 'index add'" index ad
wrong "a command is missing" index
wrong "a command is missing" node
wrong "unknown command 'index frobnicate' (see 'vmferry index --help')" index frobnicate
wrong "unknown command 'node frobnicate' (see 'vmferry node --help')" node frobnicate
wrong "unknown option '--frobnicate'" --frobnicate
wrong "indexd: unknown option '--frobnicate'" indexd --frobnicate
wrong "indexd status: unknown option '--frobnicate'" indexd status --frobnicate
wrong "index: unknown option '--frobnicate'" index --frobnicate
wrong "did you mean '--format'" index add --fromat raw "$vf_tmp/a.raw"
wrong "unknown option '-z'" index ls -z
wrong "takes no value" --json=yes index ls
wrong "--progress must be one of" --progress loud index ls
wrong "must not be empty" --store= index ls
wrong "--verbose does not go with --quiet" -q index ls -v
wrong "--verbose does not go with --quiet" index ls -qv

vf_expect_exit 2 "$VMFERRY" index ls --store
grep -q "'--store' needs a value (DIR)" "$VF_ERR" || fail "an option without its value"

# An operand too few, and one too many: every command says so, and what it takes.
wrong "index add: too few operands: vmferry index add IMAGE..." index add
wrong "index ls: too many operands: vmferry index ls" index ls x
wrong "index show: too few operands: vmferry index show IMAGE" index show
wrong "index show: too many operands: vmferry index show IMAGE" index show a b
wrong "index rm: too few operands: vmferry index rm IMAGE..." index rm
wrong "indexd: too many operands: vmferry indexd" indexd x
wrong "indexd: too many operands: vmferry indexd" indexd x status
wrong "did you mean 'indexd status'" indexd statsu
wrong "indexd status: too many operands: vmferry indexd status" indexd status x
wrong "similar: too many operands: vmferry similar IMAGE | --all" similar a b
wrong "migrate: too many operands: vmferry migrate IMAGE --to NODE" migrate a b
wrong "serve: too many operands: vmferry serve" serve x
wrong "node add: too few operands: vmferry node add NAME NODE" node add
wrong "node add: too few operands: vmferry node add NAME NODE" node add x
wrong "node add: too many operands: vmferry node add NAME NODE" node add x /y z
wrong "node ls: too many operands: vmferry node ls" node ls x
wrong "node rm: too few operands: vmferry node rm NAME..." node rm
wrong "unknown image format" index add --format floppy "$vf_tmp/a.raw"
wrong "a group's name" index add --group 'a b' "$vf_tmp/a.raw"

wrong "IMAGE is missing, or --all" similar
wrong "is no node" similar --node nowhere "$vf_tmp/a.raw"
wrong "--rate must be" similar --rate fast "$vf_tmp/a.raw"
wrong "similar: --exact does not go with --estimate" similar "$vf_tmp/a.raw" --estimate --exact 4
for with in --estimate "--exact 4" "--rate 1M" "--format raw" "--allow-backing $vf_tmp"; do
    # shellcheck disable=SC2086 # an option and its value
    wrong "similar: ${with%% *} does not go with --all" similar --all $with
done

wrong "Give an IMAGE, or --vm NAME" migrate
wrong "not both" migrate "$vf_tmp/a.raw" --vm g1 --to "$vf_tmp/b"
wrong "--to NODE is missing" migrate --vm g1
wrong "name has up to" migrate --vm ../g1 --to "$vf_tmp/b"
wrong "--to NODE is missing" migrate "$vf_tmp/a.raw"
wrong "is no node" migrate "$vf_tmp/a.raw" --to nowhere
wrong "--node goes with --to auto" migrate "$vf_tmp/a.raw" --to "$vf_tmp/b" --node "$vf_tmp/b"
wrong "no nodes to choose from" migrate "$vf_tmp/a.raw" --to auto
wrong "migrate: --compress must be" migrate "$vf_tmp/a.raw" --to "$vf_tmp/b" --compress 20
wrong "migrate: --compress must be" migrate "$vf_tmp/a.raw" --to "$vf_tmp/b" --compress 0
wrong "migrate: --streams must be" migrate "$vf_tmp/a.raw" --to "$vf_tmp/b" --streams 0
wrong "migrate: --limit-rate must be" migrate "$vf_tmp/a.raw" --to "$vf_tmp/b" --limit-rate 0
wrong "--to-format must be one of" migrate "$vf_tmp/a.raw" --to "$vf_tmp/b" --to-format vmdk
wrong "--connect-timeout must be" migrate "$vf_tmp/a.raw" --to "$vf_tmp/b" --connect-timeout 0

# What only a guest has is refused with an image, be there a --to or not: every such option.
"$VMFERRY" migrate --help | sed -n 's/^ *--\([a-z-]*\) *\([A-Z]*\) *with --vm: .*/\1 \2/p' \
    >"$vf_tmp/vm-only"
[ "$(wc -l <"$vf_tmp/vm-only")" -ge 12 ] || fail "the help does not tell what goes with --vm"
while read -r name arg; do
    [ -z "$arg" ] || arg=7
    wrong "migrate: --$name goes with --vm only" \
        migrate "$vf_tmp/a.raw" --to "$vf_tmp/b" "--$name" ${arg:+"$arg"}
    wrong "migrate: --$name goes with --vm only" migrate "$vf_tmp/a.raw" "--$name" ${arg:+"$arg"}
done <"$vf_tmp/vm-only"

# With a guest, what only an image has; the guest's own options that exclude each other.
wrong "migrate: --as does not go with --vm" migrate --vm g1 --to "$vf_tmp/b" --as c.raw
wrong "migrate: --format does not go with --vm" migrate --vm g1 --to "$vf_tmp/b" --format raw
wrong "migrate: --connect does not go with --qmp" \
    migrate --vm g1 --to "$vf_tmp/b" --qmp "$vf_tmp/qmp" --connect test:///default
wrong "migrate: --offline does not go with --qmp" \
    migrate --vm g1 --to "$vf_tmp/b" --qmp "$vf_tmp/qmp" --offline
for with in "--rounds 2" "--max-downtime 300" --auto-converge --postcopy; do
    # shellcheck disable=SC2086 # an option and its value
    wrong "migrate: ${with%% *} does not go with --offline" \
        migrate --vm g1 --to "$vf_tmp/b" --offline $with
done

# --status and --abort move nothing: whatever else is asked for would not be done.
wrong "migrate: --abort does not go with --status" migrate --vm g1 --status --abort
wrong "migrate: --group does not go with --status" migrate --vm g1 --status --group g
for what in --status --abort; do
    for with in "--to $vf_tmp/b" "--node $vf_tmp/b" "--deadline 5" --dry-run --replace \
        "--to-format raw" "--compress 3" "--limit-rate 1M" "--limit-rate-file $vf_tmp/f" \
        "--memory 1G" "--streams 2" "--allow-backing $vf_tmp" --offline "--leave a" "--rounds 2" \
        "--max-downtime 9" --auto-converge --postcopy --remove-source "--hooks $vf_tmp"; do
        # shellcheck disable=SC2086 # an option and its value
        wrong "migrate: ${with%% *} does not go with $what" migrate --vm g1 $what $with
    done
done

# Nobody waits for the answers of nodes that are not asked.
wrong "migrate: --deadline goes with --to auto or --dry-run only" \
    migrate "$vf_tmp/a.raw" --to "$vf_tmp/b" --deadline 5
wrong "migrate: --deadline goes with --to auto or --dry-run only" \
    migrate --vm g1 --to "$vf_tmp/b" --deadline 5
for name in '' . .. .hidden a/b ../a /a a.part; do
    wrong "$([ -n "$name" ] && echo "the name '$name'" || echo "must not be empty")" \
        migrate "$vf_tmp/a.raw" --to "$vf_tmp/b" --as "$name"
done
wrong "is too long" migrate "$vf_tmp/a.raw" --to "$vf_tmp/b" --as "$(printf '%0251d' 1)"
wrong "has a control character" migrate "$vf_tmp/a.raw" --to "$vf_tmp/b" --as "$(printf 'a\033b')"
[ ! -e "$vf_tmp/b" ] || fail "wrong usage made a store"

wrong "a node's name" node add 'a b' /x
wrong "an absolute path, not 'ftp://a'" node add x ftp://a
wrong "'auto' cannot name a node" node add auto /x

# A raw image whose guest has written another format's header is not guessed at.
printf 'QFI\373\000\000\000\003' | dd of="$vf_tmp/a.raw" conv=notrunc status=none
cp "$vf_tmp/a.raw" "$vf_tmp/disk"
wrong "--format" index add "$vf_tmp/disk"
