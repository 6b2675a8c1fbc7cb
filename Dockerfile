# An image for all jobs, with GPU or without; docs/environments.md says how to use it.
#   docker build -t cgdistill .                                    torch for CPUs
#   docker build -t cgdistill:cuda --build-arg TORCH=cu130 .       torch for CUDA
#   docker build --build-arg PACKAGES=gromacs -t cgdistill .       with GROMACS (OpenMM and Packmol are always there)
FROM docker.io/library/debian:bookworm-slim
ARG TORCH=cpu
ARG PACKAGES=""
ARG TORCH_INDEX=https://download.pytorch.org/whl
WORKDIR /opt/cgdistill
COPY requirements.lock envs/install-image.sh ./
RUN TORCH="$TORCH" PACKAGES="$PACKAGES" TORCH_INDEX="$TORCH_INDEX" sh install-image.sh && rm install-image.sh

# Caches lie at home, whoever runs it (`docker run --user`).
RUN useradd --create-home cgdistill && chmod 1777 /home/cgdistill && chown cgdistill: /opt/cgdistill
COPY --chown=cgdistill . .
USER cgdistill
ENV PATH=/opt/venv/bin:$PATH HOME=/home/cgdistill
ENTRYPOINT ["snakemake"]
CMD ["--help"]
