"""The command that shows a page in the browser."""

from typing import Annotated

import typer

from sr_keras.cli import Import, app, console


@app.command()
def serve(
    model: Annotated[
        list[str],
        typer.Option(help="A run or a file, to choose besides the shipped networks."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address; 0.0.0.0 for all that reach this computer.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 7860 or the next free one.")] = None,
    max_megapixels: Annotated[
        float, typer.Option(help="Largest photo that is taken.")
    ] = 16,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser.")
    ] = False,
    import_: Import = None,
):
    """Shows a page in the browser, where photos are dropped and enlarged."""
    import contextlib
    import signal
    import threading
    import time

    from sr_keras.serve import Page, serving

    if threading.current_thread() is threading.main_thread():
        # so that files are deleted then, too
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        Page(model or (), max_megapixels) as page,
        serving(page, host, port, open_browser) as address,
    ):
        console.print(f"The page is at {address}  (Ctrl-C ends it)")
        if host not in ("127.0.0.1", "localhost", "::1"):
            console.print("Everyone who can reach this address can use it.")
        while True:
            time.sleep(1)
