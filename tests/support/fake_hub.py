"""A hub of models on the loopback, as huggingface_hub talks to one:

    with fake_hub({"acme/tiny": Repository(directory)}) as hub:
        os.environ["HF_ENDPOINT"] = hub.url

What a repository says of a file's size can be more than the file has, for tests of what is too
large. ``hub.downloads`` are the files that were asked for.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from tests.support.serving import serving

WRONG_TOKEN = "hf_wrong"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Repository:
    directory: Path
    gated: bool = False
    token: str = ""  # what a private one is read with
    broken: bool = False  # the hub answers 503
    revisions: tuple[str, ...] = ("main", "v1", COMMIT)
    sizes: Mapping[str, int] = field(default_factory=dict)  # said, where they differ

    def files(self) -> dict[str, Path]:
        found = sorted(path for path in self.directory.rglob("*") if path.is_file())
        return {str(path.relative_to(self.directory)): path for path in found}

    def size(self, name: str) -> int:
        return self.sizes.get(name, self.files()[name].stat().st_size)


@dataclass
class FakeHub:
    repositories: Mapping[str, Repository]
    url: str = ""
    downloads: list[str] = field(default_factory=list)
    stalls: bool = False  # weights are announced and never sent

    def app(self) -> FastAPI:
        app = FastAPI()
        app.get("/api/models/{owner}/{name}")(self.info)
        app.get("/api/models/{owner}/{name}/revision/{revision}")(self.info)
        app.get("/api/models/{owner}/{name}/tree/{revision}")(self.tree)
        app.api_route("/{owner}/{name}/resolve/{revision}/{file:path}", methods=["GET", "HEAD"])(
            self.resolve
        )
        return app

    async def info(
        self, request: Request, owner: str, name: str, revision: str = "main"
    ) -> Response:
        found = self._found(request, f"{owner}/{name}", revision)
        if isinstance(found, Response):
            return found
        siblings = [{"rfilename": file, "size": found.size(file)} for file in found.files()]
        gated = "manual" if found.gated else False
        return JSONResponse(
            {"id": f"{owner}/{name}", "sha": COMMIT, "gated": gated, "siblings": siblings}
        )

    async def tree(self, request: Request, owner: str, name: str, revision: str) -> Response:
        found = self._found(request, f"{owner}/{name}", revision)
        if isinstance(found, Response):
            return found
        return JSONResponse(
            [
                {"type": "file", "path": file, "size": found.size(file), "oid": etag(path)}
                for file, path in found.files().items()
            ]
        )

    async def resolve(
        self, request: Request, owner: str, name: str, revision: str, file: str
    ) -> Response:
        found = self._found(request, f"{owner}/{name}", revision)
        if isinstance(found, Response):
            return found
        if found.gated:
            return refusal(401, "GatedRepo")
        path = found.files()[file]
        headers = {"ETag": f'"{etag(path)}"', "X-Repo-Commit": COMMIT}
        content = path.read_bytes()
        if request.method == "HEAD":
            return Response(headers={**headers, "Content-Length": str(len(content))})
        self.downloads.append(file)
        if self.stalls and file.endswith(".safetensors"):
            return StreamingResponse(never(), headers={**headers, "Content-Length": "1000"})
        return Response(content, headers=headers, media_type="application/octet-stream")

    def _found(self, request: Request, repo: str, revision: str) -> Repository | Response:
        repository = self.repositories.get(repo)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token == WRONG_TOKEN:
            return refusal(401, "", "Invalid credentials in Authorization header")
        if repository and repository.broken:
            return Response(status_code=503)
        if repository is None or (repository.token and token != repository.token):
            return refusal(401, "RepoNotFound")
        if revision not in repository.revisions:
            return refusal(404, "RevisionNotFound")
        return repository


async def never() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


def refusal(status: int, code: str, message: str = "") -> Response:
    headers = {"X-Error-Code": code, "X-Error-Message": message or code}
    return Response(status_code=status, headers=headers)


def etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


def model_folder(folder: Path, *more: str, weights: str = "model.safetensors") -> Path:
    """What looks like a model, with weights of a megabyte."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / weights).write_bytes(bytes(1_000_000))
    for name in more:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"other")
    return folder


@contextmanager
def fake_hub(repositories: Mapping[str, Repository]) -> Iterator[FakeHub]:
    hub = FakeHub(repositories)
    with serving(hub.app()) as served:
        hub.url = served.url
        yield hub
