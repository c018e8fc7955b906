"""Text that came from elsewhere (file names, metadata, class names), made fit to be shown."""


def printable(text: object, *, keep: str = "") -> str:
    """``str(text)`` as one printable line: line breaks, terminal codes and bytes that are no UTF-8 are escaped.

    Shown raw, they could clear the screen, rename the window or add lines that look like our own. Characters in
    ``keep`` stay.
    """
    whole = str(text)
    if whole.isprintable():
        return whole
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode("ascii") for char in whole
    )
