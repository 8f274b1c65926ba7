#!/usr/bin/env python3
"""Writes noto/*.png: the pictures of every emoji in emoji.tsv, out of Noto Color Emoji's bitmap strike.

Run by hand, only when the table or the font changes: pip install pillow fonttools, then
extract_noto.py [/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf]
"""

import csv
import io
import pathlib
import sys

from fontTools.ttLib import TTFont
from PIL import Image

SIDE = 128

here = pathlib.Path(__file__).parent
font = TTFont(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
glyphs = font.getBestCmap()
strike = font["CBDT"].strikeData[0]
(here / "noto").mkdir(exist_ok=True)

with open(here / "emoji.tsv", encoding="utf-8") as table:
    for row in csv.DictReader(table, delimiter="\t"):
        picture = Image.open(io.BytesIO(strike[glyphs[ord(row["char"])]].imageData))
        if picture.convert("RGBA").getchannel("A").getbbox() is None:
            sys.exit(f"{row['code']}: the font's picture is empty")
        # The strike is 136 x 128, its side columns empty: the square is cut out losslessly, the palette kept.
        left = (picture.width - SIDE) // 2
        margins = picture.convert("RGBA").getchannel("A")
        margins.paste(0, (left, 0, left + SIDE, SIDE))
        if margins.getextrema()[1] > 16:
            print(row["code"], "loses", margins.getextrema()[1])
        square = picture.crop((left, 0, left + SIDE, SIDE))
        square.save(here / "noto" / f"{row['code']}.png", optimize=True)
