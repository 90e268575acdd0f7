# The image: the binary, the two libraries that it links, and the authorities that it trusts. No shell, no package manager;
# it runs as 65532, on a root that is read-only.
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg REVISION=$(git rev-parse --short=12 HEAD) -t edgeway .
# With a binary that was built before, as FOLDER/out/edgeway:
#   docker buildx build --build-context build=FOLDER -t edgeway .
# HEALTHCHECK is part of Docker's format of images; OCI's has none (buildah: --format docker). ECS and Kubernetes
# look at neither, their files say it again.

# Both are Debian 12, so that the C library which the binary is linked with is the one that it runs with.
ARG BUILD_BASE=rust:1.95-slim-bookworm
ARG ROOT_BASE=debian:bookworm-slim

FROM --platform=$BUILDPLATFORM ${BUILD_BASE} AS build
ARG TARGETARCH
WORKDIR /src
COPY scripts/setup.sh scripts/
RUN scripts/setup.sh release && scripts/setup.sh "cross-$TARGETARCH"
# A change of the code builds none of this again.
COPY Cargo.toml Cargo.lock build.rs scripts/image.sh ./
RUN ./image.sh dependencies "$TARGETARCH"
COPY . .
ARG REVISION=unknown
ENV EDGEWAY_COMMIT=${REVISION}
RUN scripts/image.sh binary "$TARGETARCH" /out/edgeway

FROM --platform=$BUILDPLATFORM ${ROOT_BASE} AS root
ARG TARGETARCH
WORKDIR /image
COPY scripts/image.sh ./
RUN ./image.sh root "$TARGETARCH" /rootfs

FROM scratch
ARG REVISION=unknown
ARG VERSION=0.1.0
ARG SOURCE=""
LABEL org.opencontainers.image.title="Edgeway" \
      org.opencontainers.image.description="An API gateway on Pingora" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=root /rootfs/ /
COPY --from=build /out/edgeway /usr/bin/edgeway
COPY conf/edgeway.yaml /etc/edgeway/edgeway.yaml
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["/usr/bin/edgeway", "health"]
ENTRYPOINT ["/usr/bin/edgeway"]
CMD ["run"]
