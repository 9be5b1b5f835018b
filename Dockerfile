# One static binary on nothing else. From source:
#
#   docker build -t hapi-registry .
#
# or, where no base image can be pulled, around a binary that was built outside:
#
#   scripts/build-static
#   docker build -t hapi-registry --target ready --build-arg READY=target/image.tar .

ARG BASE=rust:1.95-bookworm

# It comes first because the classic builder builds every stage before the one that is asked for. Without a ready
# binary it holds the licence and the settings.
FROM scratch AS ready
ARG READY=LICENSE
ADD ${READY} /
ENV HAPI_DATA_DIR=/data \
    HAPI_HTTP_LISTEN=0.0.0.0:8080 \
    HAPI_PEER_LISTEN=0.0.0.0:7080 \
    HAPI_LOG_FORMAT=json
USER 65532:65532
EXPOSE 8080 7080
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["/hapi-registry", "health"]
ENTRYPOINT ["/hapi-registry"]
CMD ["serve"]

FROM ${BASE} AS build
WORKDIR /source
COPY . .
RUN scripts/build-static

FROM ready AS node
COPY --from=build /source/target/image/hapi-registry /hapi-registry
COPY --from=build --chown=65532:65532 /source/target/image/data /data
