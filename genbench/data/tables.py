"""Tables that say of pictures, by their files' names, which class and split they are of."""

from genbench.data.look import SUFFIXES
from genbench.data.splits import NAMES

MATCHED = 0.5  # of a table's rows must name pictures
CLASS_COLUMNS = ("label", "class", "category", "style", "genre", "artist", "target")
SPLIT_COLUMNS = ("split", "set", "subset", "fold")
USUAL = (*CLASS_COLUMNS, *SPLIT_COLUMNS)


def folders_in(rows: list[list[str]], pictures: set[str]) -> dict[str, list[str]]:
    """By a picture's name in a table its split and its class.

    Raises:
        ValueError: It names no pictures, or nothing of them.
    """
    rows = [row for row in rows if any(value.strip() for value in row)]
    if not rows:
        raise ValueError("an empty table")
    width = max(map(len, rows))
    rows = [row + [""] * (width - len(row)) for row in rows]
    words = [title.strip().lower() for title in rows[0]]
    rows = rows if set(rows[0]) & pictures else rows[1:]  # it may have no titles
    columns = list(zip(*rows, strict=True))
    others = [c for w, c in zip(words, columns, strict=False) if w not in USUAL]
    names = max(others, key=lambda column: _likeness(column, pictures), default=())
    if _likeness(names, pictures)[0] < MATCHED:
        raise ValueError("a table that names no pictures")

    def called(*usual: str) -> tuple[str, ...] | None:
        return next((c for w, c in zip(words, columns, strict=False) if w in usual), None)

    splits, classes = called(*SPLIT_COLUMNS), called(*CLASS_COLUMNS)
    if classes is None:  # the first that sorts the pictures
        unnamed = (c for c in columns if c is not names and c is not splits)
        classes = next((c for c in unnamed if 1 < len(set(c)) <= len(c) / 2), None)
    if classes is None and splits is None:
        raise ValueError(f"a table without a column of classes ({', '.join(CLASS_COLUMNS)})")
    return {
        name: [
            *([NAMES[splits[i].lower()]] if splits and splits[i].lower() in NAMES else []),
            *([classes[i]] if classes and classes[i].strip() else []),
        ]
        for i, name in enumerate(names)
        if name in pictures
    }


def _likeness(column: tuple[str, ...], pictures: set[str]) -> tuple[float, float]:
    """The share of different names of pictures in a column, and of those with their suffix."""
    if not column:
        return 0.0, 0.0
    known = {value for value in column if value in pictures}
    whole = sum(value.lower().endswith(SUFFIXES) for value in known)
    return len(known) / len(column), whole / len(column)
