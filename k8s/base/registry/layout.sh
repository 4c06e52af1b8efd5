#!/bin/sh
# Lays the volume at $1 out as a workspace and never changes what is there: servers start before the first release.
# It runs before everything that mounts a part of the volume: the kubelet makes a missing subPath as root.
set -eu
umask 022
cd "$1"
mkdir -p artifacts cache predictions registry runs serving || {
  echo "the volume is not writable for user and group 10001: chown it where it is made (hostPath, NFS)" >&2
  exit 1
}
: >> .melanosizer-workspace
if [ ! -e serving/models.config ]; then
  printf '# Nothing is released yet; the registry replaces this file.\nmodel_config_list {\n}\n' > "serving/.models.config.$$"
  mv -n "serving/.models.config.$$" serving/models.config
  rm -f "serving/.models.config.$$"
fi
echo "workspace $1 is laid out"
