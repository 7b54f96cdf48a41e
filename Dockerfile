# docker build -t ai_proxy .
# docker run -d --user "$(id -u):$(id -g)" --read-only -p 127.0.0.1:8001:8001 -e DEEPSEEK_API_KEY -e TZ=Asia/Shanghai \
#     -v "$PWD/conf:/etc/ai_proxy:ro" ai_proxy
# conf/config.json, whose "host" is "0.0.0.0", stays yours, with mode 600: the program runs as you. Without --user
# it runs as 65534, which must then own the file: chown 65534 conf/config.json
# Mount the directory, not the file: a mount of one file shows the old one after an editor replaced it.
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
