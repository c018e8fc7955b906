"""``data``: look at labelled faces, write drawn ones, fetch FER-2013."""

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Look at labelled faces, draw some, fetch FER-2013.")


@app.callback()
def _group() -> None:
    """Look at labelled faces, draw some, fetch FER-2013."""
