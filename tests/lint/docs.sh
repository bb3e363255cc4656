#!/bin/sh
# The documents name only what exists: files, options and commands; and the manual
# pages name every option that the program has.
set -eu
cd "${VF_SRC:-$(dirname "$0")/../..}"
VMFERRY=${VMFERRY:-build/vmferry}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
rc=0
wrong() {
    echo "$*"
    rc=1
}

# Files: links of the form [text](path), and `folder/file` in code marks.
for doc in $(find . -name '*.md' -not -path './.git/*' -not -path './build*'); do
    dir=$(dirname "$doc")
    sed 's/`[^`]*`//g' "$doc" | grep -oE '\]\([^)#: ]+' | sed 's/^](//' | sort -u |
        while read -r path; do
            [ -e "$dir/$path" ] || [ -e "./$path" ] || echo "$doc: no such file: $path"
        done
    grep -oE '`(core|formats|index|transport|hypervisor|cmd|tests|bench)/[A-Za-z0-9_./-]*`' "$doc" |
        tr -d '`' | grep -v NAME | sort -u | while read -r path; do # NAME stands for something
        [ -e "$path" ] || echo "$doc: no such file: $path"
    done
done >"$tmp/files"
[ ! -s "$tmp/files" ] || wrong "$(cat "$tmp/files")"

# Manual pages are good mdoc.
pages=$(find cmd/man -name '*.[1-8]' 2>/dev/null | sort)
if command -v mandoc >/dev/null; then
    for page in $pages; do
        mandoc -T lint -W warning "$page" || wrong "$page: mandoc complains"
    done
fi

# Options and commands: what the program's own help says decides.
if [ ! -x "$VMFERRY" ]; then
    [ $rc -eq 0 ] || exit 1
    echo "skip: no program at $VMFERRY"
    exit 77
fi
options() { grep -oE '(^|[^-A-Za-z0-9])--[a-z][a-z0-9-]+' | sed 's/^[^-]*//' | sort -u; }
"$VMFERRY" --help >"$tmp/help" 2>&1 || wrong "--help fails"
for page in $pages; do
    verb=$(basename "$page" | sed 's/\.[1-8]$//; s/^vmferry-*//')
    [ -n "$verb" ] || continue
    case $page in *.1) ;; *) continue ;; esac
    "$VMFERRY" "$verb" --help >>"$tmp/help" 2>&1 || wrong "$page: 'vmferry $verb --help' fails"
    # A command that is also the first word of another one.
    if grep -q "^  $verb status " "$tmp/help"; then
        "$VMFERRY" "$verb" status --help >>"$tmp/help" 2>&1 || wrong "$page: its status has no --help"
    fi
done
options <"$tmp/help" >"$tmp/have"

if command -v mandoc >/dev/null && [ -n "$pages" ]; then
    for page in $pages; do
        mandoc -T ascii "$page" | sed 's/.\x08//g' | options >"$tmp/named"
        for o in $(comm -23 "$tmp/named" "$tmp/have"); do wrong "$page: vmferry has no option $o"; done
        cat "$tmp/named" >>"$tmp/all"
    done
    for o in $(sort -u "$tmp/all" | comm -13 - "$tmp/have"); do
        wrong "no manual page explains $o"
    done
fi

# In Markdown, lines with a vmferry command must use options that it has.
for doc in $(find . -name '*.md' -not -path './.git/*' -not -path './build*'); do
    sed -e ':a' -e '/\\$/{N;s/\\\n/ /;ba' -e '}' "$doc" | sed -n 's/.*\(vmferry [-a-z].*\)/\1/p' | sed 's/[|;&].*//' | options >"$tmp/named"
    for o in $(comm -23 "$tmp/named" "$tmp/have"); do wrong "$doc: vmferry has no option $o"; done
done
exit $rc
