#!/usr/bin/env bash
# Makes sure that there is a Chromium for the browser tests: Debian's, which playwright-core can drive.
set -euo pipefail

[ -x /usr/bin/chromium ] && exit 0
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium
