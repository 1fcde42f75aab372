"""Colors that AVIF and HEIC files tell by numbers in place of a profile.

References
----------
.. [1] ISO/IEC 14496-12, section 12.1.5; the numbers are ITU-T H.273's.
"""

from __future__ import annotations

import struct

SRGB_PRIMARIES = (1, 2, 5, 6)
"""BT.709, unspecified, and those of television, which are near."""
HDR_TRANSFERS = (16, 18)
"""PQ and HLG."""


def unlike_srgb(data: bytes, info: dict) -> list[str]:
    """Say if there are such numbers of colors unlike sRGB; a list of one text, or of none.

    Parameters
    ----------
    data : bytes
        The file.
    info : dict
        Pillow's: with an ``icc_profile`` the numbers do not count.
    """
    start = data.find(b"colrnclx")
    if info.get("icc_profile") or not 0 <= start <= len(data) - 12:
        return []
    primaries, transfer = struct.unpack_from(">HH", data, start + 8)
    if primaries in SRGB_PRIMARIES and transfer not in HDR_TRANSFERS:
        return []
    return [
        f"has colors of another space than sRGB (primaries {primaries}, transfer {transfer}), "
        "which is not kept; convert it first"
    ]
