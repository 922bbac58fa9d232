# The service's image: `docker compose up` builds and runs it, see docker-compose.yml.
ARG PYTHON=python:3.13.9-slim-bookworm
ARG NODE=node:22-bookworm-slim

FROM ${PYTHON} AS build
COPY requirements.lock /
# A virtual environment can be copied as one folder, and leaves pip's traces behind.
RUN python -m venv /venv \
    && /venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --no-deps --only-binary=:all: -r /requirements.lock \
    && /venv/bin/python -m pip uninstall --yes pip

# Nothing of Node is in the final image; what npm fetches, it checks against the lock.
FROM ${NODE} AS widget
WORKDIR /widget
COPY conversations/widget/js/package.json conversations/widget/js/package-lock.json conversations/widget/js/.npmrc ./
RUN npm ci --ignore-scripts

FROM ${PYTHON}
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=config.settings \
    HOST=0.0.0.0 \
    PORT=8000
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin conversations
COPY --from=build /venv /venv
WORKDIR /app
COPY manage.py ./
COPY config ./config
COPY rest ./rest
COPY projects ./projects
COPY conversations ./conversations
ARG POSTHOG_JS=conversations/widget/js/node_modules/posthog-js
COPY --from=widget /widget/node_modules/posthog-js/package.json ./${POSTHOG_JS}/
COPY --from=widget /widget/node_modules/posthog-js/dist/*.js ./${POSTHOG_JS}/dist/
# Owned by root: the service can't change its own code.
RUN python -m compileall -q /app
USER 10001
EXPOSE 8000
# Ready, and not only alive: nothing here restarts a container for being unhealthy, and compose
# starts what depends on this one when it can answer.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/readyz', timeout=4)"]
# In the form without a shell, so that SIGTERM reaches the server, which finishes its requests.
CMD ["python", "-m", "config.serve"]
