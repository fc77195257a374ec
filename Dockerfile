# syntax=docker/dockerfile:1
# Two stages: what builds stays behind. Runs as an ordinary user; a read-only root file system fits, with a volume for
# /data (embedded PostgreSQL, development KEK) and a tmpfs for /tmp.
#
#   docker build -t panless .
#   docker run --read-only --tmpfs /tmp -v panless:/data -v ./panless.toml:/etc/panless/panless.toml:ro \
#     --cap-drop ALL --security-opt no-new-privileges -p 8080:8080 panless

FROM python:3.13-slim-trixie AS build
WORKDIR /src
RUN python -m venv /opt/panless
COPY pyproject.toml README.md LICENSE ./
COPY vault vault
COPY proxy proxy
COPY migrations migrations
COPY config config
# Key providers that need more: --build-arg EXTRAS=[aws-kms], [pkcs11], [custodians], or several: [aws-kms,custodians]. [s3] is for audit sinks
ARG EXTRAS=
RUN /opt/panless/bin/pip install --no-cache-dir ".${EXTRAS}"

FROM python:3.13-slim-trixie
RUN groupadd --gid 10001 panless \
 && useradd --uid 10001 --gid panless --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin panless \
 && install --directory --owner=panless --group=panless --mode=0700 /data
COPY --from=build /opt/panless /opt/panless
ENV PATH=/opt/panless/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER panless
VOLUME /data
EXPOSE 8080 8081 8083
HEALTHCHECK --interval=10s --start-period=20s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8083/healthz', timeout=2)"]
ENTRYPOINT ["panless"]
CMD ["serve", "--config", "/etc/panless/panless.toml"]
