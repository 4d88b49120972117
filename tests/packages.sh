# install_packages NAMES: installs those that are missing (Debian 12), as root or through sudo. Sourced by the other scripts.
install_packages() {
    local missing root=''
    missing=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null |
        awk -v all="$*" '$2 == "installed" { here[$1] } END { n = split(all, name); for (i = 1; i <= n; i++)
            if (!(name[i] in here)) printf "%s ", name[i] }')
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        root='sudo -n'
        $root true 2>/dev/null || { echo "not root, no sudo; please install: $missing"; return 1; }
    fi
    get() { $root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null; }
    echo "installing: $missing"
    # shellcheck disable=SC2086  # packages are words
    get update && get install -y --no-install-recommends $missing
}
