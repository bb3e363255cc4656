#!/bin/sh
# C files are laid out as .clang-format says; the version that Debian 12 has decides, as versions
# differ.
set -eu
cd "${VF_SRC:-$(dirname "$0")/../..}"

command -v clang-format >/dev/null || { echo "no clang-format here (tests/setup.sh --dev installs it)"; exit 77; }
case $(clang-format --version) in
*'version 14.'*) ;;
*) echo "another clang-format than Debian 12's, which lays out differently"; exit 77 ;;
esac
find . -name 'build*' -prune -o -name '*.[ch]' -type f -exec clang-format --dry-run -Werror {} +
