#!/bin/sh
# tests/lib/farend.sh - stands in for the far end: `farend.sh [--store DIR] serve MODE [ARG]`.
store=
if [ "$1" = --store ]; then
    store=$2
    shift 2
fi
[ "$1" = serve ] || exit 99
case $2 in
echo) exec cat ;;                               # gives back what it gets
count) exec wc -c ;;                            # answers after the end of its input
exit) exit "$3" ;;
complain)                                       # many lines on stderr, then an exit status
    i=0
    while [ "$i" -lt 2000 ]; do
        echo "line $i of the complaint" >&2
        i=$((i + 1))
    done
    printf 'the last \033[31mline\007\n' >&2
    exit "$3"
    ;;
noisy)                                          # stderr and stdout at the same time
    head -c "$3" /dev/zero >&2 &
    head -c "$3" /dev/zero
    wait
    ;;
flood) exec head -c "$3" /dev/zero ;;
hold)                                           # says nothing until who has started it is gone
    i=0                                         # 1: it was gone before; after 2 minutes in any case
    while [ "$PPID" -gt 1 ] && [ "$i" -lt 240 ] && kill -0 "$PPID" 2>/dev/null; do
        sleep 0.5
        i=$((i + 1))
    done
    ;;
deaf)                                           # ends its output, goes on reading
    exec >&- 2>&-                               # sshd passes the end on when both have ended
    cat >/dev/null
    exit 5
    ;;
die) kill -s TERM $$ ;;
args)
    printf '<%s>' "$store" "$@"
    ;;
*) exit 98 ;;
esac
