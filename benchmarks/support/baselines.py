"""Other clients that a run is compared with.

    python -m benchmarks.support.baselines loop|sdk|floor URL IMAGES FOLDER

    loop    the loop of the API's own example, one request after the other
    sdk     Google's own client, 32 requests at once
    floor   only receives and writes bytes: the lower bound of the cost

None of them checks anything. `sdk` runs in its own environment, so this file imports nothing of this project.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import sys
from pathlib import Path

MODEL = "gemini-nano-banana-2.1"
AT_ONCE = 32
KEY = "no-key-for-the-replay"


def loop(url: str, images: int, folder: Path) -> None:
    """Post, parse the JSON, decode and write, one image after the other."""
    import requests  # noqa: PLC0415 - each has only its own

    address = f"{url}/v1beta/models/{MODEL}:predict"
    for number in range(images):
        asked = {"instances": [{"prompt": f"picture {number}"}], "parameters": {"sampleCount": 1}}
        reply = requests.post(address, headers={"x-goog-api-key": KEY}, json=asked, timeout=300).json()
        for made in reply["predictions"]:
            (folder / f"{number}.png").write_bytes(base64.b64decode(made["bytesBase64Encoded"]))


def sdk(url: str, images: int, folder: Path) -> None:
    """Use one task for each image, and a semaphore."""
    from google import genai  # noqa: PLC0415

    client = genai.Client(api_key=KEY, http_options=genai.types.HttpOptions(base_url=url))
    wanted = genai.types.GenerateContentConfig(response_modalities=["IMAGE"])

    async def one(number: int, slots: asyncio.Semaphore) -> None:
        async with slots:
            asked = {"model": MODEL, "contents": f"picture {number}", "config": wanted}
            reply = await client.aio.models.generate_content(**asked)
        for part in reply.candidates[0].content.parts:
            if part.inline_data:
                (folder / f"{number}.png").write_bytes(part.inline_data.data)

    async def every() -> None:
        slots = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(one(number, slots) for number in range(images)))

    asyncio.run(every())


def floor(url: str, images: int, folder: Path) -> None:
    """Receive each reply into the same memory and write three quarters of it, the size of decoded base64."""
    asking = f"POST /v1beta/models/{MODEL}:predict HTTP/1.1\r\nHost: replay\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    view = memoryview(bytearray(2**22))
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection:
        for number in range(images):
            connection.sendall(asking)
            got, ends = connection.recv_into(view), 0
            head = bytes(view[:got]).partition(b"\r\n\r\n")[0]
            ends = len(head) + 4 + int(head.rpartition(b":")[2])
            while got < ends:
                got += connection.recv_into(view[got:])
            (folder / f"{number}.png").write_bytes(view[: ends * 3 // 4])


if __name__ == "__main__":
    way, service, count, place = sys.argv[1:]
    {"loop": loop, "sdk": sdk, "floor": floor}[way](service, int(count), Path(place))
