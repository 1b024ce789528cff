"""The limits that checks of URLs and clicks are compared with: servers that answer the same, and look nothing up.

`python bare_urls.py GRPC_PORT HTTP_PORT KEY CERTIFICATE CA`: UrlService by grpc.aio with mutual TLS, and a redirect by
uvicorn and Starlette. Prints `ready`, and serves until stdin ends.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import uvicorn
from quell.email.v1 import url_service_pb2, url_service_pb2_grpc
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

ANSWER = url_service_pb2.StreamCheckUrlsResponse(
    check=url_service_pb2.UrlCheck(
        answer=url_service_pb2.URL_ANSWER_ALLOWED, canonical_url="www.example.com/some/path?x=1"
    )
)


class Bare(url_service_pb2_grpc.UrlServiceServicer):
    """Says the same of every URL."""

    async def StreamCheckUrls(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[url_service_pb2.StreamCheckUrlsRequest], _context: object
    ) -> AsyncIterator[url_service_pb2.StreamCheckUrlsResponse]:
        """Answer each."""
        async for _ in request_iterator:
            yield ANSWER


async def redirect(_request: Request) -> RedirectResponse:
    """Lead on."""
    return RedirectResponse("https://www.example.com/some/path?x=1", 302)


async def main() -> None:
    """Serve until stdin ends."""
    port, http_port, *paths = sys.argv[1:]
    key, certificate, ca = (Path(path).read_bytes() for path in paths)  # noqa: ASYNC240 - before anything is served
    server = grpc.aio.server()
    url_service_pb2_grpc.add_UrlServiceServicer_to_server(Bare(), server)  # type: ignore[abstract]
    credentials = grpc.ssl_server_credentials([(key, certificate)], ca, require_client_auth=True)
    server.add_secure_port(f"127.0.0.1:{port}", credentials)
    await server.start()
    app = Starlette(routes=[Route("/c/1/{token:str}", redirect)])
    config = uvicorn.Config(app, port=int(http_port), http="h11", log_config=None, access_log=False, lifespan="off")
    http = uvicorn.Server(config)
    serving = asyncio.create_task(http.serve())
    while not http.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    http.should_exit = True
    await serving
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(main())
