"""Dockerfiles: one per architecture for which ONNX Runtime and Zenoh have wheels."""

import json
from importlib.metadata import version

from offramp.deploy.line import CERTS_FOLDER, PORT, SCRATCH_FOLDER, TIER_FOLDER, USER

# Docker's architecture to the name of Python's official images for it.
ARCHITECTURES = {"amd64": "amd64/python", "arm64": "arm64v8/python"}
_PYTHON = "3.13-slim"


def dockerfile(architecture: str) -> str:
    """The Dockerfile of a tier's image; its build context is the tier's folder, and nothing else gets in."""
    look = f"import socket; socket.create_connection(('localhost', {PORT}), 2).close()"
    return f"""\
# One tier's image. In the bundle's folder:
#   docker build --file deploy/Dockerfile.{architecture} --tag NAME tiers/TIER
FROM {ARCHITECTURES[architecture]}:{_PYTHON}
# Another version, or the address of a wheel: --build-arg OFFRAMP=...
ARG OFFRAMP="offramp[run]=={version("offramp")}"
RUN pip install --no-cache-dir --prefer-binary "$OFFRAMP"
COPY . {TIER_FOLDER}
# Libraries keep caches in HOME; they may be lost.
ENV HOME={SCRATCH_FOLDER}
USER {USER}:{USER}
EXPOSE {PORT}
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD {json.dumps(["python", "-c", look])}
ENTRYPOINT ["offramp"]
CMD {json.dumps(["worker", TIER_FOLDER, "--port", str(PORT), "--certs", CERTS_FOLDER])}
"""
