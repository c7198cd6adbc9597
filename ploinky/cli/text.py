"""Make foreign text fit for a terminal."""

LINE_LIMIT_CHARACTERS = 4_000


def one_line(text: object, limit_characters: int = LINE_LIMIT_CHARACTERS) -> str:
    """Give the text on one line, cut to the limit, with everything visible that could steer a terminal."""
    line = " ".join(str(text)[: 4 * limit_characters].split())
    return visible(line if len(line) <= limit_characters else line[: limit_characters - 1] + "…")


def visible(text: str, kept: str = "") -> str:
    """Write characters that are no visible ones as escapes, but for those of `kept`."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in kept else character.encode("unicode_escape").decode()
        for character in text
    )
