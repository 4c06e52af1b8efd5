#!/bin/sh
# Copies released models from $1 to $2 for ever: versions first, then the file that makes servers load them, as it was
# before the versions were looked at. So no server ever reads half a model, and none is told of one that came later.
# rclone writes a file under another name and renames it when it is whole.
set -u
copied="${COPIED:-/tmp/copied}"
seen="$copied.models.config"
copy() {
  rclone copyto "$1/models.config" "$seen" --checksum \
    && rclone copy "$1" "$2" --exclude models.config --exclude '.*/**' --exclude '.*' --checksum \
    && rclone copyto "$seen" "$2/models.config" --checksum \
    && touch "$copied"
}
# A probe looks at the time of the last copy that went through: a failure is tried again here.
until [ -n "${ONCE:-}" ]; do
  copy "$1" "$2"
  sleep "${EVERY_SECONDS:-10}"
done
copy "$1" "$2"
