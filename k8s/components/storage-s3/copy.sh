#!/bin/sh
# Copies released models from $1 to $2 for ever: versions first, then the file that makes servers load them, so that
# no server ever reads half a model. rclone writes a file under another name and renames it when it is whole.
set -u
copy() {
  rclone copy "$1" "$2" --exclude models.config --exclude '.*/**' --exclude '.*' --checksum \
    && rclone copyto "$1/models.config" "$2/models.config" --checksum \
    && touch "${COPIED:-/tmp/copied}"
}
# A probe looks at the time of the last copy that went through: a failure is tried again here.
until [ -n "${ONCE:-}" ]; do
  copy "$1" "$2"
  sleep "${EVERY_SECONDS:-10}"
done
copy "$1" "$2"
