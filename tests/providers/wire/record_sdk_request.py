"""Records the JSON that google-genai sends for a request with two reference images, without sending it anywhere.

python -m venv sdk && sdk/bin/pip install google-genai==3.6.1
sdk/bin/python tests/providers/wire/record_sdk_request.py > tests/providers/wire/sdk_two_references.json
"""

from __future__ import annotations

import base64
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WEBP = base64.b64decode("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")
PROMPT = "The fox of the first image in the style of the second"


def main() -> None:
    """Print the path and the body of one request as JSON."""
    from google import genai  # noqa: PLC0415 - not a dependency of the tests
    from google.genai import types  # noqa: PLC0415

    received: dict[str, object] = {}

    class Capture(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received["path"] = self.path
            received["body"] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"candidates": []}')

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Capture)
    threading.Thread(target=server.handle_request, daemon=True).start()
    address = types.HttpOptions(base_url=f"http://127.0.0.1:{server.server_port}", api_version="v1beta")
    client = genai.Client(api_key="none", http_options=address)
    client.models.generate_content(
        model="gemini-nano-banana-2.1",
        contents=[
            types.Part.from_bytes(data=PNG, mime_type="image/png"),
            types.Part.from_bytes(data=WEBP, mime_type="image/webp"),
            PROMPT,
        ],
        config=types.GenerateContentConfig(
            response_modalities=["IMAGE"],
            image_config=types.ImageConfig(aspect_ratio="3:4", image_size="1K"),
            seed=7,
        ),
    )
    server.server_close()
    json.dump({"sdk": f"google-genai {version('google-genai')}", **received}, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
