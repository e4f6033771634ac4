"""Drives a headless Chromium through its DevTools protocol: real clicks and keys, console and network watched."""

import base64
import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from websockets.sync.client import connect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ALT, CTRL, META, SHIFT = 1, 2, 4, 8
_CODES = {
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Enter": 13,
    "Escape": 27,
    "Tab": 9,
    "Home": 36,
    "End": 35,
    "PageUp": 33,
    "PageDown": 34,
    "Delete": 46,
    "Backspace": 8,
}


class PageLeft(Exception):
    """The page was left while it evaluated an expression."""


class Page:
    """Drives one tab."""

    def __init__(self, socket, *, downloads: Path) -> None:
        self._socket = socket
        self._number = 0
        self._events: list[dict] = []
        self.downloads = downloads
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))

    def send(self, method: str, **params):
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == 0:
                continue
            if message.get("id") == self._number:
                if "navigated" in message.get("error", {}).get("message", ""):
                    raise PageLeft
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self._note(message)

    def _note(self, event: dict) -> None:
        self._events.append(event)
        if event["method"] == "Page.javascriptDialogOpening":  # the question whether to leave the page
            answer = {"id": 0, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
            self._socket.send(json.dumps(answer))

    def open(self, url: str, *, ready: bool = True) -> None:
        self.send("Page.navigate", url=url)
        if ready:
            self.wait_for("document.body && document.body.dataset.ready === 'yes'")

    def run(self, script: str):
        """Return the value of a JavaScript expression."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"]["exception"].get("description", answer))
        return answer["result"].get("value")

    def wait_for(self, condition: str, *, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with suppress(PageLeft):
                if self.run(f"!!({condition})"):
                    return
            time.sleep(0.02)
        raise AssertionError(f"did not become true: {condition}")

    def press(self, *keys: str, modifiers: int = 0) -> None:
        for key in keys:
            code = _CODES.get(key) or ord(key.upper()) if len(key) == 1 or key in _CODES else 0
            event = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 and not modifiers & (CTRL | META | ALT) else "")
            self.send("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {}))
            self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text: str) -> None:
        self.send("Input.insertText", text=text)

    def click(self, selector: str, *, modifiers: int = 0, times: int = 1) -> None:
        """A real click in the middle of the element, which has to be on the screen."""
        x, y = self.middle(selector)
        for count in range(1, times + 1):
            mouse = {"x": x, "y": y, "button": "left", "clickCount": count, "modifiers": modifiers}
            self.send("Input.dispatchMouseEvent", type="mousePressed", **mouse)
            self.send("Input.dispatchMouseEvent", type="mouseReleased", **mouse)

    def middle(self, selector: str) -> tuple[float, float]:
        box = self.run(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [box.left + box.width / 2, box.top + box.height / 2]; })()"
        )
        return tuple(box)

    def touch(self, *points: tuple[float, float]) -> None:
        """A finger that goes down at the first point and up at the last."""
        self.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": points[0][0], "y": points[0][1]}])
        for x, y in points[1:]:
            self.send("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": x, "y": y}])
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def choose_file(self, selector: str, path: Path) -> None:
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def screen(self, width: int, height: int, *, phone: bool = False, dark: bool = False, scale: float = 1) -> None:
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        self.send("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, exceptions and refusals of the content security policy so far."""
        self.run("0")  # brings in what is on its way
        found = []
        for event in self._events:
            params = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(json.dumps(params["exceptionDetails"])[:500])
            elif event.get("method") == "Runtime.consoleAPICalled" and params["type"] in {
                "error",
                "warning",
                "assert",
            }:
                found.append(json.dumps(params["args"])[:500])
            elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] in {"error", "warning"}:
                found.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        return found

    def requested(self) -> list[str]:
        """Return every address that was requested so far."""
        self.run("0")
        return [
            event["params"]["request"]["url"]
            for event in self._events
            if event.get("method") == "Network.requestWillBeSent"
        ]


class Chromium:
    """One browser; each page has storage of its own unless it is opened in the same `context`."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._process = subprocess.Popen(
            [
                CHROMIUM,
                "--headless=new",
                "--remote-debugging-port=0",
                "--remote-allow-origins=*",
                f"--user-data-dir={home / 'profile'}",
                "--no-first-run",
                "--disable-gpu",
                "--disable-extensions",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-dev-shm-usage",
                "--disable-features=Translate,OptimizationHints,MediaRouter",
                "--enable-precise-memory-info",
                "--force-color-profile=srgb",
                "--hide-scrollbars",
                *(["--no-sandbox"] if os.geteuid() == 0 else []),
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._address = self._wait_for_address()

    def _wait_for_address(self) -> str:
        port_file = self._home / "profile" / "DevToolsActivePort"
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if port_file.exists() and len(lines := port_file.read_text().split()) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError("Chromium did not start")

    @contextmanager
    def page(self, *, context: str | None = None):
        """Return a tab, closed afterwards. `context` is that of another one, to share its storage."""
        with self._commands() as ask:
            own = context or ask("Target.createBrowserContext")["browserContextId"]
            target = ask("Target.createTarget", url="about:blank", browserContextId=own)["targetId"]
            downloads = self._home / f"downloads-{target}"
            downloads.mkdir()
            with connect(
                f"{self._address.rsplit('/devtools', 1)[0]}/devtools/page/{target}", max_size=2**28
            ) as socket:
                page = Page(socket, downloads=downloads)
                page.context = own
                page.screen(1280, 860)
                yield page
            ask("Target.closeTarget", targetId=target)
            if context is None:
                ask("Target.disposeBrowserContext", browserContextId=own)

    def renderers(self) -> list[int]:
        """Return the processes that draw pages."""
        with self._commands() as ask:
            processes = ask("SystemInfo.getProcessInfo")["processInfo"]
        return [process["id"] for process in processes if process["type"] == "renderer"]

    @contextmanager
    def _commands(self):
        with connect(self._address, max_size=2**28) as browser:

            def ask(method, **params):
                browser.send(json.dumps({"id": 1, "method": method, "params": params}))
                while True:
                    message = json.loads(browser.recv(timeout=60))
                    if message.get("id") == 1:
                        return message["result"]

            yield ask

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
