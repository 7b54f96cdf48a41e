# docker build -t ai_proxy .
# Run it with a directory that holds config.json, whose "host" is "0.0.0.0":
#   docker run --read-only -p 8001:8001 -e OPENAI_API_KEY -e TZ=Asia/Shanghai \
#       -v "$PWD/ai_proxy:/etc/ai_proxy:ro" ai_proxy
# The directory, not the file: a mount of one file shows the old one after an editor replaced it.
# The file must be readable for the user 65534; keys come from the environment or from token_file.
FROM rust:1-slim-bookworm AS build
# hadolint ignore=DL3008  # Debian stable: the newest is the one with the security fixes
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl-dev pkg-config tzdata \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
COPY deploy/image-root.sh deploy/
RUN cargo build --release --locked \
    && deploy/image-root.sh target/release/ai_proxy /image

# Neither shell nor package manager.
FROM scratch
COPY --from=build /image/ /
USER 65534:65534
WORKDIR /var/log/ai_proxy
EXPOSE 8001
ENTRYPOINT ["/usr/bin/ai_proxy"]
CMD ["--config", "/etc/ai_proxy/config.json"]
