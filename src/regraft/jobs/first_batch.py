"""What the net saw: the first pictures of the first batch, cut and changed as it got them."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from regraft.jobs.session import Session

#: Pictures that are shown, how many stand in a row, and the side of each in pixels.
COUNT, ACROSS, SIDE = 16, 8, 112


def draw(session: Session) -> bytes:
    """Return the pictures in rows, as a JPEG; the same training gives the same bytes."""
    batch = next(iter(session.batch_up(session.pixels, session.steps).epoch(0)))
    pictures = batch.images[:COUNT].permute(0, 2, 3, 1).cpu().numpy().astype(np.uint8)
    rows = -(-len(pictures) // ACROSS)
    sheet = Image.new("RGB", (min(len(pictures), ACROSS) * SIDE, rows * SIDE), "grey")
    for place, picture in enumerate(pictures):
        small = Image.fromarray(picture).resize((SIDE - 4, SIDE - 4), Image.Resampling.LANCZOS)
        sheet.paste(small, (place % ACROSS * SIDE, place // ACROSS * SIDE))
    buffer = BytesIO()
    sheet.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
