#!/bin/sh
# release-version.sh prints the version that the packages of this commit get: 1.2.3 at the tag v1.2.3, 1.2.3+4.gabc1234567 four
# commits later, 1.2.3~rc.1 for the tag v1.2.3-rc.1 (~ sorts before nothing), and 0~20261125171500.gabc1234567, with the commit's time,
# before there is a tag. All sort by age in dpkg and rpm. It asks the repository of the folder it is called in.
set -eu

if long=$(git describe --tags --long --abbrev=10 --match 'v[0-9]*' 2>/dev/null); then
  commit=${long##*-}
  rest=${long%-*}
  later=${rest##*-}
  tag=$(echo "${rest%-*}" | sed 's/^v//' | tr - '~')
  if [ "$later" -eq 0 ]; then
    echo "$tag"
  else
    echo "$tag+$later.$commit"
  fi
else
  seconds=$(git log -1 --format=%ct)
  echo "0~$(date -u -d "@$seconds" +%Y%m%d%H%M%S).g$(git rev-parse --short=10 HEAD)"
fi
