# Builds the release binary, and puts it alone on a small Debian.
FROM rust:1.95.0-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked && strip target/release/nightlatch

FROM debian:12.12-slim
LABEL org.opencontainers.image.title="Nightlatch" \
      org.opencontainers.image.description="Streaming detector of account takeover: SQL rules over sliding event-time windows" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 64100 nightlatch \
    && useradd --system --uid 64100 --gid 64100 --home-dir /var/lib/nightlatch --create-home nightlatch
COPY --from=build /src/target/release/nightlatch /usr/local/bin/nightlatch
COPY LICENSE /usr/share/doc/nightlatch/LICENSE
USER 64100:64100
WORKDIR /var/lib/nightlatch
EXPOSE 9464
# Exec form: the program is process 1 and gets SIGTERM itself.
ENTRYPOINT ["/usr/local/bin/nightlatch"]
CMD ["run", "--config", "/etc/nightlatch/nightlatch.toml"]
