# Builds the release binary, and puts it alone on a small Debian.
#
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges \
#     --volume ./nightlatch.toml:/etc/nightlatch/nightlatch.toml:ro \
#     --volume nightlatch-state:/var/lib/nightlatch --publish 127.0.0.1:9464:9464 nightlatch:0.1.0
#
# It writes below /var/lib/nightlatch alone, so its root can be read-only.
FROM rust:1.95.0-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ libssl-dev make pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked && strip target/release/nightlatch

FROM debian:12.12-slim
LABEL org.opencontainers.image.title="Nightlatch" \
      org.opencontainers.image.description="Streaming detector of account takeover: SQL rules over sliding event-time windows" \
      org.opencontainers.image.licenses="Apache-2.0"
# TLS to brokers and receivers is the system's OpenSSL, with the system's authorities.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libssl3 \
    && rm -rf /var/lib/apt/lists/*
# The home holds the state folder: mount a volume there. A new volume takes over its owner and mode.
RUN groupadd --system --gid 64100 nightlatch \
    && useradd --system --uid 64100 --gid 64100 --home-dir /var/lib/nightlatch --create-home nightlatch \
    && chmod 700 /var/lib/nightlatch
COPY --from=build /src/target/release/nightlatch /usr/local/bin/nightlatch
COPY LICENSE /usr/share/doc/nightlatch/LICENSE
USER 64100:64100
WORKDIR /var/lib/nightlatch
VOLUME ["/var/lib/nightlatch"]
EXPOSE 9464
# Filling windows from Kafka counts as ready: the pipeline reads. Ends with 1 or 69 when it does not.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["/usr/local/bin/nightlatch", "health", "--quiet", "--config", "/etc/nightlatch/nightlatch.toml"]
# Exec form: the program is process 1 and gets SIGTERM itself.
ENTRYPOINT ["/usr/local/bin/nightlatch"]
CMD ["run", "--config", "/etc/nightlatch/nightlatch.toml"]
