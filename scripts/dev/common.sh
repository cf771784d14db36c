# shellcheck shell=bash
# What the verbs of ./dev share. Sourced with the repository's root as the working directory.

packages=(
  build-essential cmake ninja-build ccache pkg-config git python3 curl
  libuv1-dev libmsgpack-cxx-dev librocksdb-dev libxxhash-dev liblz4-dev libzstd-dev libcli11-dev libspdlog-dev libfmt-dev
  libtomlplusplus-dev nlohmann-json3-dev node-llhttp libjemalloc-dev robin-map-dev libsodium-dev
  libgtest-dev libgmock-dev libbenchmark-dev librapidcheck-dev
  clang clang-format clang-tidy libclang-rt-14-dev shellcheck
  redis-server redis-tools prometheus
)

# Installs what is missing, and nothing if nothing is. Services of the packages are not started.
deps() {
  local missing=() package root=()
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  command -v node >/dev/null || missing+=(nodejs npm)
  [ ${#missing[@]} -eq 0 ] && return
  echo "installing ${missing[*]}"
  [ "$(id -u)" -eq 0 ] || root=(sudo)
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee $policy >/dev/null
    "${root[@]}" chmod +x $policy
    made=1
  fi
  local status=0
  { "${root[@]}" apt-get update -qq && DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -qq "${missing[@]}"; } \
    >/dev/null || status=$?
  [ -z "$made" ] || "${root[@]}" rm -f $policy
  return $status
}

# build PRESET [TARGET...]
build() {
  local preset=$1
  shift
  [ -e "build/$preset/build.ninja" ] || cmake --preset "$preset" >"/tmp/cartwheel-configure.$$" 2>&1 ||
    { cat "/tmp/cartwheel-configure.$$"; return 1; }
  rm -f "/tmp/cartwheel-configure.$$"
  echo "building $preset ${*:-everything}"
  ninja -C "build/$preset" "$@" >"build/$preset/build.log" 2>&1 || { grep -E 'error|FAILED' -A5 "build/$preset/build.log" | head -60; return 1; }
}

sources() { git ls-files '*.cc' '*.h'; }
