"""`feller app`: watch models sample in a browser. The page is made by Gradio, an optional extra."""

import argparse
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import resources
from importlib.util import find_spec
from typing import Any

from feller.core.domains import domains, list_models, resolve
from feller.core.watching import Watched, framed

__all__ = ["build", "run"]

KEPT = 3
"""Models in memory at once."""
FONTS, CODE = ("system-ui", "sans-serif"), ("ui-monospace", "monospace")


def run(argv: Sequence[str]) -> None:
    """Serve the page until Ctrl-C."""
    parser = argparse.ArgumentParser(
        "feller app",
        description="Watch bundled models sample in a browser, with controls for class, guidance, "
        "steps, seed and the weight between flow and jump. Nothing leaves this machine.",
    )
    parser.add_argument("model", nargs="?", default="", help="shown first (default: the first)")
    parser.add_argument(
        "--port", type=int, default=7860, help="port to serve at; 0 for a free one (default: 7860)"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to serve at; 0.0.0.0 also serves other machines (default: 127.0.0.1)",
    )
    options = parser.parse_args(argv)
    names = [name for name in list_models() if _app_of(name)]
    if not names:
        raise ValueError("no models are installed: pip install feller-images")
    if options.model and options.model not in names:
        raise ValueError(f"{options.model} cannot be watched; there are {', '.join(names)}")
    if find_spec("gradio") is None:
        raise ValueError("the page needs Gradio: pip install 'feller-core[app]'")
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio

    page = build(gradio, names, options.model or names[0])
    _serve(gradio, page, options.host, options.port)


def _app_of(name: str) -> str:
    """Return what opens a model for the page; nothing where its domain has no such thing."""
    domain = domains().get(name.split("/", 1)[0])
    return domain.app if domain else ""


@lru_cache(KEPT)
def _watched(name: str) -> Watched:
    return resolve(_app_of(name))(name)


def build(gradio: Any, names: Sequence[str], first: str) -> Any:
    """Return the page.

    Args:
        gradio: The module.
        names: The models.
        first: The one shown first.
    """
    with gradio.Blocks(title="feller app", analytics_enabled=False) as page:
        gradio.Markdown("# feller app\nChoose a model, turn its controls, and watch it sample.")
        model = gradio.Dropdown(list(names), value=first, label="Model")

        @gradio.render(inputs=model)
        def show(name: str) -> None:
            watched = _watched(name)
            with gradio.Row():
                with gradio.Column(scale=1, min_width=280):
                    parts = [control.component(gradio) for control in watched.controls]
                    go = gradio.Button("Sample", variant="primary")
                    stop = gradio.Button("Stop")
                with gradio.Column(scale=2, min_width=280):
                    stage = gradio.HTML(elem_id="stage")

            def frames(*values: Any) -> Iterator[str]:
                yield from framed(watched, values)

            started = go.click(frames, parts, stage, show_progress="hidden", concurrency_limit=1)
            stop.click(None, cancels=[started])

    return page


def _serve(gradio: Any, page: Any, host: str, port: int) -> None:
    """Serve a page until Ctrl-C, and say where."""
    style = (resources.files("feller.core.commands") / "assets" / "app.css").read_text("utf-8")
    _, address, _ = page.launch(
        server_name=host,
        server_port=port or _free(host),
        theme=gradio.themes.Base(font=FONTS, font_mono=CODE),
        css=style,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        footer_links=[],
    )
    print(f"open {address}", flush=True)
    page.block_thread()


def _free(host: str) -> int:
    """Return a port that nobody serves at."""
    import socket

    with socket.socket() as tried:
        tried.bind((host, 0))
        return tried.getsockname()[1]
