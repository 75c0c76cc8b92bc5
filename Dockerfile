# gaugecast in an image without a shell or a package manager, not as root.
#
#   docker build -t gaugecast .
#   docker run --net=host --pid=host -v /:/host:ro,rslave gaugecast --path.rootfs=/host
#
# Without --net=host the container's own network is shown instead of the host's.

FROM rust:1.95-bookworm AS build
ARG GAUGECAST_BUILD_BRANCH=
ARG GAUGECAST_BUILD_REVISION=
WORKDIR /build
COPY Cargo.toml Cargo.lock build.rs ./
COPY src src
COPY rules rules
COPY grafana grafana
COPY packaging packaging
COPY prometheus.yml docker-compose.yml ./
COPY benches benches
COPY web/dist web/dist
RUN cargo build --release --locked --bin gaugecast

# The C library of the same Debian, and nothing else: what is tested is what runs.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="gaugecast" \
      org.opencontainers.image.description="The live edge of Prometheus" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /build/target/release/gaugecast /gaugecast
USER 65534:65534
EXPOSE 7171
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s --retries=3 CMD ["/gaugecast", "check", "ready"]
ENTRYPOINT ["/gaugecast"]
