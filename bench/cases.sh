# shellcheck shell=bash disable=SC2034
# cases.sh - what is moved and what lies at the destination already; sourced by the other scripts.
# Sets target and residents; best is the one basis for tools that can use only one.
bench_case() { # NAME
    case $1 in
    a) target=deb12-web residents=(deb12-min) ;;       # a server from the template that it grew from
    b) target=deb12-web-later residents=(deb12-web) ;; # the same machine, some weeks later
    c) target=deb13-min residents=(deb12-min) ;;       # another release of the distribution
    d) target=deb12-dev residents=() ;;                # nothing there
    e) target=deb12-dev residents=(deb12-web deb12-min deb13-min) ;; # several relatives
    *)
        echo "no case $1: a to e" >&2
        return 1
        ;;
    esac
    best=${residents[0]:-}
}
