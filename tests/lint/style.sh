#!/bin/sh
# Small rules that a compiler does not know: white space, banned calls, promises.
set -eu
cd "${VF_SRC:-$(dirname "$0")/../..}"

rc=0
files=$(find * -path 'build*' -prune -o -name '*.[ch]' -print)
complain() { # PATTERN MESSAGE FILE...: every match is an error
    pattern=$1
    message=$2
    shift 2
    [ $# -gt 0 ] || return 0
    if grep -nE -- "$pattern" "$@" /dev/null; then
        echo "    ^ $message"
        rc=1
    fi
}
product=$(echo "$files" | grep -vE '^(tests|bench)/')
# shellcheck disable=SC2086 # lists of words; no file of ours has a space in its name
{
    complain "$(printf '\t')" "indent with spaces" $files
    complain '[ 	]+$' "white space at the end of a line" $files
    complain '^[ ]*//' "comments are written /* */" $files
    complain '\b(TODO|FIXME|XXX|HACK)\b' "finish it, or say in the documents what is missing" $files
    complain '^typedef (struct|union|enum)( [A-Za-z0-9_]+)?( \{|$| [A-Za-z0-9_]+;)' "structs are not typedefed" $files
    complain '(^|[^_a-zA-Z0-9.>])(gets|strcpy|strcat|sprintf|vsprintf|strtok|alloca|system|popen|strerror|atoi|atol|mktemp|tmpnam)\(' \
        "this call is banned: no bound, no error, a shell or hidden state" $product
    complain '(^|[^_a-zA-Z0-9.>])(printf|puts|putchar|perror|exit)\(|fprintf\(std' \
        "only cmd/ prints and exits" $(echo "$product" | grep -v '^cmd/')
}
for f in $files; do
    if [ -n "$(tail -c 1 "$f")" ]; then
        echo "$f: no newline at the end"
        rc=1
    fi
done
exit $rc
