"""The files that browsers get: the script that shops load, and what the frames are made of."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

_EXPORTS = ("export { Panless };", "export default Panless;")
_SCRIPT = "__PANLESS_SCRIPT__"
# What a shop's page loads is one file; these are its parts, in order.
_PARTS = ("base", "calls", "element", "field", "group", "panless")
# An image named currentScript in the page would be found in its place, and say where the fields are.
_OWN_ELEMENT = (
    "(document.currentScript instanceof HTMLScriptElement ? document.currentScript.src : "
    '(() => { throw new TypeError("Panless: something in the page is named currentScript."); })())'
)
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".ts": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served. `shared`: pages of other origins may load it."""

    content_type: str
    body: bytes = field(repr=False)
    shared: bool = False

    @property
    def integrity(self) -> str:
        """Return what a page that loads it says it is (Subresource Integrity)."""
        return "sha384-" + base64.b64encode(hashlib.sha384(self.body).digest()).decode()


@dataclass(frozen=True, slots=True)
class Assets:
    """`prefix` is the path of this version; `served` what there is under it; `texts` those of frames by language."""

    prefix: str
    served: Mapping[str, Asset]
    frame: str
    texts: Mapping[str, Mapping[str, str]]

    @property
    def folder(self) -> str:
        """The path of what frames load."""
        return f"{self.prefix}/frame"


@cache
def assets() -> Assets:
    """Return the files of this version, read once."""
    folder = files("proxy.fields") / "assets"
    source = "\n".join([(folder / "page" / f"{part}.js").read_text("utf-8") for part in _PARTS])
    served = {
        "panless.js": _asset("panless.js", _plain_script(source).encode(), shared=True),
        "panless.mjs": _asset("panless.mjs", source.replace(_SCRIPT, "import.meta.url").encode(), shared=True),
        "panless.d.ts": _asset("panless.d.ts", (folder / "panless.d.ts").read_bytes(), shared=True),
    }
    served |= {f"frame/{each.name}": _asset(each.name, each.read_bytes()) for each in _files(folder / "frame")}
    texts = {each.name.removesuffix(".json"): _texts(each) for each in _files(folder / "locales")}
    frame = (folder / "frame.html").read_text("utf-8")
    return Assets(f"/panless/{version('panless')}", MappingProxyType(served), frame, MappingProxyType(texts))


def _plain_script(source: str) -> str:
    """Return the module as a plain script that sets `Panless`."""
    body = "\n".join(line for line in source.splitlines() if line not in _EXPORTS)
    body = body.replace(_SCRIPT, _OWN_ELEMENT)
    return f"(() => {{\n{body}\nglobalThis.Panless = Panless;\n}})();\n"


def _texts(file: Traversable) -> Mapping[str, str]:
    texts: dict[str, str] = json.loads(file.read_text("utf-8"))
    return MappingProxyType(texts)


def _files(folder: Traversable) -> list[Traversable]:
    return sorted((each for each in folder.iterdir() if each.is_file()), key=lambda each: each.name)


def _asset(name: str, body: bytes, *, shared: bool = False) -> Asset:
    return Asset(_TYPES[name[name.rindex(".") :]], body, shared)
