#!/bin/sh
# cloud-init.sh prints the path of a program that is Debian's or Ubuntu's cloud-init, for `cloud-init schema`. It is never
# installed: the next boot of this machine would run it. Its packages are unpacked in the cache folder instead, once.
set -eu

die() {
  echo "cloud-init.sh: $*" >&2
  exit 1
}

# What `cloud-init schema` imports, beside Python's own library.
packages='cloud-init python3-attr python3-certifi python3-chardet python3-configobj python3-idna python3-jinja2 python3-json-pointer
python3-jsonpatch python3-jsonschema python3-markupsafe python3-netifaces python3-oauthlib python3-pyrsistent python3-requests python3-six
python3-urllib3 python3-yaml'

command -v apt-get >/dev/null 2>&1 || die 'this needs apt, of Debian or Ubuntu'
# shellcheck disable=SC1091
system=$(. /etc/os-release && echo "$ID-$VERSION_ID")
tools=${XDG_CACHE_HOME:-$HOME/.cache}/mayfly/tools
place=$tools/cloud-init-$system

if [ ! -x "$place/cloud-init" ]; then
  mkdir -p "$tools"
  work=$(mktemp -d "$tools/.cloud-init-XXXXXX")
  trap 'rm -rf "$work"' EXIT
  download() {
    # shellcheck disable=SC2086 # a list of words
    (cd "$work" && apt-get -qq download $packages) >"$work/log" 2>&1
  }
  # The lists of a fresh machine are empty or old: try, update, try again.
  if ! download; then
    if [ "$(id -u)" -eq 0 ]; then
      apt-get -qq -o DPkg::Lock::Timeout=120 update >"$work/update.log" 2>&1 || :
    else
      # The log is ours: it need not be root that writes it.
      # shellcheck disable=SC2024
      sudo -n apt-get -qq -o DPkg::Lock::Timeout=120 update >"$work/update.log" 2>&1 || :
    fi
    download || {
      tail -n 5 "$work/log" >&2
      die 'apt-get could not download cloud-init'
    }
  fi
  for package in "$work"/*.deb; do
    dpkg-deb -x "$package" "$work/root" || die "unpack $package: see above"
  done
  # Debian's own Python: another in PATH may lack what the packages were built for.
  cat >"$work/cloud-init" <<'END'
#!/bin/sh
PYTHONPATH=$(dirname "$0")/root/usr/lib/python3/dist-packages PYTHONDONTWRITEBYTECODE=1 \
  exec /usr/bin/python3 -c 'import sys; from cloudinit.cmd.main import main; sys.exit(main(["cloud-init", *sys.argv[1:]]))' "$@"
END
  chmod +x "$work/cloud-init"
  "$work/cloud-init" --version >"$work/log" 2>&1 || {
    tail -n 5 "$work/log" >&2
    die 'the cloud-init that was unpacked does not run'
  }
  rm -f "$work"/*.deb
  chmod 755 "$work"
  rm -rf "$place"
  mv "$work" "$place"
fi
echo "$place/cloud-init"
