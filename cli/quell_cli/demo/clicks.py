"""A click on a link in mail, as a browser makes it."""

import asyncio
import http.client
import tomllib
from pathlib import Path

from quell_cli.deployment import Folder
from quell_runtime import addresses
from quell_runtime.click_links import link


async def click_on(folder: Folder, url: str) -> str:
    """Follow the signed link of a URL and return what comes: `302 to ...` or `403`."""
    return await asyncio.to_thread(_get, folder, url)


def _get(folder: Folder, url: str) -> str:
    settings = tomllib.loads(folder.config("email").read_text(encoding="utf-8"))
    path = link("", Path(settings["link_key"]).read_bytes(), url)
    place = addresses.parse(settings["click"]["listen"])
    connection = http.client.HTTPConnection(place.host, place.port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        leads_to = answer.getheader("Location")
        return f"{answer.status} {answer.reason}" + (f" to {leads_to}" if leads_to else "")
    finally:
        connection.close()
