# Two images from one file:
#   docker build --target cpu -t redraft .
#   docker build --target cuda -t redraft:cuda .
# The server listens on all addresses inside its container, so it wants API keys:
#   docker run -p 8000:8000 -e REDRAFT_API_KEYS=me:secret redraft
# Another model: -v /path/to/model:/model -e REDRAFT_MODEL=/model

FROM python:3.11-slim AS source
WORKDIR /redraft
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 UV_LINK_MODE=copy
# What the environment is made from comes first: it changes less often than the code.
COPY pyproject.toml README.md LICENSE ./
COPY constraints constraints
COPY redraft redraft
RUN mkdir -p server train clients benchmarks models && useradd --create-home redraft

FROM source AS cpu
# vLLM on a CPU: libnuma for binding threads, g++ to compile what --no-enforce-eager asks for.
RUN apt-get update && apt-get install -y --no-install-recommends g++ libnuma1 \
    && rm -rf /var/lib/apt/lists/*
RUN python -m redraft.install --venv .venv cpu
COPY . .
USER redraft
ENV PATH=/redraft/.venv/bin:$PATH REDRAFT_HOST=0.0.0.0
RUN redraft fetch
EXPOSE 8000
HEALTHCHECK --start-period=120s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health')"]
ENTRYPOINT ["redraft", "serve"]

FROM source AS cuda
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
RUN python -m redraft.install --venv .venv cuda
COPY . .
USER redraft
ENV PATH=/redraft/.venv/bin:$PATH REDRAFT_HOST=0.0.0.0
RUN redraft fetch
EXPOSE 8000
HEALTHCHECK --start-period=300s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health')"]
ENTRYPOINT ["redraft", "serve"]
