"""A folder as the README and the guides have it: `photos/` with two classes, and `photo.jpg`."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image


def write_photos(folder: Path) -> Path:
    """24 small pictures of two colours, the last of them as `photo.jpg` too; `folder` again."""
    generator = torch.Generator().manual_seed(0)
    for number in range(12):
        for channel, name in enumerate(("bird", "forest")):
            pixels = torch.rand(24, 24, 3, generator=generator) * 80
            pixels[..., channel] += 150
            path = folder / "photos" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(pixels.to(torch.uint8).numpy())
            picture.save(path)
            picture.save(folder / "photo.jpg")
    return folder
