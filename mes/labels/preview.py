"""A picture of a layout, as it would be printed."""

import io
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from mes.labels.layout import Layout

Form = Literal["png", "svg"]
MM_PER_INCH, POINTS_PER_INCH = 25.4, 72
DOTS_PER_MM = 16  # so that each module is a whole number of dots
CAPITAL_OF_HEIGHT = 0.75  # of the printer's scalable font


def draw(layout: Layout, form: Form) -> bytes:
    """The label as PNG (16 dots/mm) or SVG."""
    figure = Figure((layout.width_mm / MM_PER_INCH, layout.height_mm / MM_PER_INCH), dpi=DOTS_PER_MM * MM_PER_INCH)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, layout.width_mm), ylim=(layout.height_mm, 0), xticks=[], yticks=[])
    for text in layout.texts:
        size = text.height_mm * CAPITAL_OF_HEIGHT / MM_PER_INCH * POINTS_PER_INCH
        axes.text(text.x_mm, text.y_mm, text.text, fontsize=size, va="top", parse_math=False)
    for symbol in layout.symbols:
        rows, columns = symbol.modules.shape
        x = symbol.x_mm + np.arange(columns + 1) * symbol.module_width_mm
        y = symbol.y_mm + np.arange(rows + 1) * symbol.module_height_mm
        axes.pcolormesh(x, y, symbol.modules, cmap="binary", vmin=0, vmax=1, antialiased=False)
    picture = io.BytesIO()
    figure.savefig(picture, format=form, metadata={"Date": None} if form == "svg" else {})
    return picture.getvalue()
