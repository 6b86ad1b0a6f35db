#!/bin/sh
# release.sh NFPM VERSION_VARIABLE ARCHITECTURE… (Go's names) makes everything that a release consists of in dist/: binaries,
# .deb, .rpm, OCI images, SBOMs and SHA256SUMS. The same commit gives the same bytes with the same Go and root certificates:
# all times are the commit's, all modes and orders are set here. scripts/release-check.sh proves it.
#
# Environment: CERTIFICATES, the root certificates' file that goes into the images (default: Debian's ca-certificates);
# RELEASE_VERSION, instead of what release-version.sh says; SOURCE_DATE_EPOCH, instead of the commit's time.
set -eu

cd "$(dirname "$0")/.."
nfpm_tool=$1
variable=$2
shift 2
certificates=${CERTIFICATES:-/etc/ssl/certs/ca-certificates.crt}
# Bytes of a binary: it goes through the Proxmox API into a container at each upgrade.
largest=$((30 * 1000 * 1000))

umask 022
export LC_ALL=C TZ=UTC CGO_ENABLED=0 GOOS=linux
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

VERSION=${RELEASE_VERSION:-$(scripts/release-version.sh)}
export VERSION
# In a file's name and an image's tag ~ and + are unwelcome.
name=mayfly-$(echo "$VERSION" | tr '~+' '--')

rm -rf dist
mkdir -p dist/build/common dist/build/host
work=dist/build
GOOS='' GOARCH='' go build -buildvcs=false -trimpath -o "$work/host/release" ./scripts/release

# What is the same on each architecture.
"$work/host/release" docs "$work/common"
scripts/release-stage.sh "$work/common"

for GOARCH in "$@"; do
  export GOARCH
  echo "release.sh: mayfly $VERSION for $GOARCH"
  binary=$work/$GOARCH/mayfly
  go build -buildvcs=false -trimpath -ldflags "-s -w -X $variable=$VERSION" -o "$binary" ./cmd/mayfly
  size=$(wc -c <"$binary")
  if [ "$size" -ge $largest ]; then
    echo "release.sh: $binary has $size bytes; want fewer than $largest" >&2
    exit 1
  fi
  "$work/host/release" sbom "$binary" "$VERSION" "$work/$GOARCH/mayfly.cdx.json"
  # nfpm takes times from the files.
  find "$work/common" "$work/$GOARCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  for kind in deb rpm; do
    "$nfpm_tool" package --config dispatcher/packaging/nfpm.yaml --packager $kind --target dist/ >/dev/null
  done
  "$work/host/release" oci "$binary" "$GOARCH" "$(echo "$VERSION" | tr '~+' '--')" "$certificates" "dist/$name-linux-$GOARCH.oci.tar"
  install -m 0755 "$binary" "dist/$name-linux-$GOARCH"
  install -m 0644 "$work/$GOARCH/mayfly.cdx.json" "dist/$name-linux-$GOARCH.cdx.json"
done
rm -rf "$work"

(cd dist && sha256sum -- * >../SHA256SUMS.new && mv ../SHA256SUMS.new SHA256SUMS)
ls -l dist
