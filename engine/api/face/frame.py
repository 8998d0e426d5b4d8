"""The frame that shows active output (html, javascript, interactive charts), and the headers that let nothing out of it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from engine.resources import web_dir

PATH = "/_output/frame.html"
# 'unsafe-inline' and no host: a nonce could be read by the code in the frame, which could then load a script with it.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; media-src data: blob:; connect-src 'none'; frame-src 'none'; form-action 'none'; base-uri 'none'; "
    "sandbox allow-scripts allow-downloads allow-forms allow-pointer-lock"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Connection-Allowlist": "();webrtc=block",  # nothing else closes WebRTC; Chromium 152 and later read it
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), display-capture=(), clipboard-read=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "max-age=300",
}


async def frame(request: Request) -> Response:
    return FileResponse(web_dir() / "frame.html", media_type="text/html", headers=_HEADERS)
