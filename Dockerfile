# gaugecast in an image of one static program: no shell, no package manager, no libraries, not as root.
#
#   docker build -t gaugecast .
#   docker buildx build --platform linux/amd64,linux/arm64 -t gaugecast .
#   docker run --net=host --pid=host -v /:/host:ro,rslave gaugecast --path.rootfs=/host
#
# Without --net=host the container's own network is shown instead of the host's.

FROM rust:1.95-bookworm AS build
ARG GAUGECAST_BUILD_BRANCH=
ARG GAUGECAST_BUILD_REVISION=
# The C library goes into the program; with a target named, build scripts keep theirs.
ENV RUSTFLAGS="-C target-feature=+crt-static"
WORKDIR /build
COPY Cargo.toml Cargo.lock build.rs ./
COPY src src
COPY benches benches
COPY rules rules
COPY grafana grafana
COPY packaging packaging
COPY prometheus.yml docker-compose.yml ./
COPY web/dist web/dist
RUN host="$(rustc --print host-tuple)" \
 && cargo build --profile dist --locked --bin gaugecast --target "$host" \
 && cp "target/$host/dist/gaugecast" /gaugecast

# Certificate authorities, time zones and a user; nothing that runs.
FROM gcr.io/distroless/static-debian12:nonroot
LABEL org.opencontainers.image.title="gaugecast" \
      org.opencontainers.image.description="The live edge of Prometheus" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /gaugecast /gaugecast
USER 65534:65534
EXPOSE 7171
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s --retries=3 CMD ["/gaugecast", "check", "ready"]
ENTRYPOINT ["/gaugecast"]
