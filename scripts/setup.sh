#!/usr/bin/env bash
# Installs what the tests of everything need beyond Rust, a C compiler and python3: RocksDB's build wants a C++
# compiler and a complete libclang; ccache lets its C++ be compiled once for all profiles; strace shows what an
# acknowledgement waited for; tmux has the terminals on which `deriva top` is tested; Prometheus, with promtool, is asked the
# queries of `monitoring/`, and runs only meanwhile; systemd-analyze, of the package systemd, reads the unit in `deploy/`. Does nothing where all of it is there.
set -euo pipefail

missing=()
for package in g++ libclang-dev ccache strace tmux prometheus systemd; do
    case "$package" in
    libclang-dev) [[ -n ${LIBCLANG_PATH:-} ]] || compgen -G '/usr/lib/llvm-*/lib/libclang.so' >/dev/null || missing+=("$package") ;;
    systemd) command -v systemd-analyze >/dev/null || missing+=("$package") ;;
    *) command -v "$package" >/dev/null || missing+=("$package") ;;
    esac
done
((${#missing[@]})) || exit 0

become=()
((EUID == 0)) || become=(sudo -n)
install() { "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; }

# Debian starts a package's service when it is installed, unless a policy forbids it, and whenever the machine starts. Nobody
# asked for one here.
policy=/usr/sbin/policy-rc.d
install_without_service() {
    if [[ " ${missing[*]} " != *" prometheus "* ]]; then
        install
        return
    fi
    if [[ ! -e $policy ]]; then
        trap '"${become[@]}" rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | "${become[@]}" tee "$policy" >/dev/null && "${become[@]}" chmod +x "$policy" || return
    fi
    install || return
    if command -v systemctl >/dev/null; then
        "${become[@]}" systemctl --quiet disable prometheus.service || true
    fi
}
if command -v apt-get >/dev/null && { install_without_service || { "${become[@]}" apt-get update && install_without_service; }; } >&2; then
    exit 0
fi
echo "could not install: ${missing[*]}. Install them and try again; on Debian and its kin:" >&2
echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
exit 1
