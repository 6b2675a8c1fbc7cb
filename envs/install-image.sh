#!/bin/sh
# Everything that jobs need, into an image of Debian bookworm: what Dockerfile and envs/apptainer.def have in common.
# Run as root, in a folder with requirements.lock:
#   TORCH=cpu|cu130|...   build of torch, by its name in PyTorch's index
#   PACKAGES="gromacs"    further Debian packages
set -eu
torch=${TORCH:-cpu}
index=${TORCH_INDEX:-https://download.pytorch.org/whl}
export DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# LAMMPS's ML-IAP module looks for Python's shared library under the name that Debian's package for developers has.
# numba's threads need OpenMP. triton compiles its kernels where they run: on a GPU it needs a C compiler.
compiler=
[ "$torch" = cpu ] || compiler="gcc libc6-dev python3-dev"
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends \
  python3-venv libpython3.11 libgomp1 ca-certificates packmol $compiler ${PACKAGES:-}
ln -sf libpython3.11.so.1 "/usr/lib/$(uname -m)-linux-gnu/libpython3.11.so"
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt/* /var/log/dpkg.log

python3 -m venv /opt/venv
# The build first: PyPI's own torch for Linux is one for CUDA, with gigabytes of libraries.
/opt/venv/bin/pip install --quiet --no-deps --index-url "$index/$torch" "$(grep '^torch==' requirements.lock)"
/opt/venv/bin/pip install --quiet -r requirements.lock
find /opt/venv -name __pycache__ -type d -prune -exec rm -rf {} +

# Not installed as a package: jobs of a workflow that is mounted into the image have to find that workflow's library.
cat > /opt/venv/bin/cgdistill <<'END'
#!/bin/sh
PYTHONPATH=/opt/cgdistill/workflow/lib exec python3 -m cgdistill "$@"
END
chmod 755 /opt/venv/bin/cgdistill
