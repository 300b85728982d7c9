"""A Chromium without a window, driven by the DevTools protocol over a pipe: what a page is in a real browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless_shell")
PLAYWRIGHT = ("chromium*/chrome-linux*/chrome", "chromium*/chrome-linux*/headless_shell", "chromium*/*/Chromium")
"""Where Playwright puts what it downloads."""
LACKING = f"no Chromium: none of {', '.join(NAMES)} is on the PATH, in CHROME_PATH or among Playwright's browsers"


def chromium() -> str | None:
    """The program, or None."""
    given = os.environ.get("CHROME_PATH")
    if given and os.access(given, os.X_OK):
        return given
    for name in NAMES:
        if found := shutil.which(name):
            return found
    folder = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    return next((str(file) for pattern in PLAYWRIGHT for file in sorted(folder.glob(pattern))), None)


LAUNCH = """
import fcntl, os, sys
found = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for number, wanted in zip(found, (3, 4)):
    os.dup2(number, wanted)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Starts a program whose protocol reads descriptor 3 and writes descriptor 4."""


class Browser:
    """One page of a running Chromium."""

    def __init__(self, to: int, back: int):
        self.to, self.back = to, os.fdopen(back, "rb", buffering=0)
        self.pending = b""
        self.number = 0
        self.session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a command."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while (found := self._read()).get("id") != self.number:
            self.events.append(found)
        assert "error" not in found, found
        return found["result"]

    def open(self, file: Path) -> None:
        """Load a page, and wait for it."""
        self.call("Page.navigate", url=file.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def width(self, pixels: int) -> None:
        """Set the width of the window."""
        self.call("Emulation.setDeviceMetricsOverride", width=pixels, height=900, deviceScaleFactor=1, mobile=False)

    def key(self, name: str, code: int) -> None:
        """Press a key."""
        text = {"text": "\r"} if name == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, **text)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.pending:
            part = self.back.read(1 << 20)
            assert part, "the browser has ended"
            self.pending += part
        message, _, self.pending = self.pending.partition(b"\0")
        return json.loads(message)


@contextmanager
def started(program: str, profile: Path) -> Iterator[Browser]:
    """Start a Chromium with a profile of its own, and end it."""
    reading, to = os.pipe()
    back, writing = os.pipe()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    line = [program, *flags, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, str(reading), str(writing), *line],
        pass_fds=(reading, writing),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(reading)
    os.close(writing)
    try:
        yield Browser(to, back)
    finally:
        process.kill()
        process.wait()
        os.close(to)
