"""XMP packets: what enlarging makes wrong is corrected, and what was done is recorded.

References
----------
.. [1] Adobe, XMP specification part 1 (ISO 16684-1), section 7; part 2, sections 1.2.4 and 3.4.
"""

from __future__ import annotations

from typing import Optional
from xml.dom import minidom
from xml.parsers.expat import ExpatError

MAX_BYTES = 1_000_000
"""A packet of more is not taken apart: that takes up to some hundred times its size."""
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XMLNS = "http://www.w3.org/2000/xmlns/"
TIFF, EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
HISTORY, EVENT = (
    "http://ns.adobe.com/xap/1.0/mm/",
    "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
)
OUTDATED = {
    "http://ns.adobe.com/hdr-gain-map/1.0/": None,
    "http://ns.apple.com/HDRGainMap/1.0/": None,
    "http://ns.google.com/photos/1.0/container/": None,
    "http://ns.google.com/photos/1.0/camera/": None,
    "http://ns.adobe.com/xmp/note/": {"HasExtendedXMP"},
    "http://ns.adobe.com/xap/1.0/": {"Thumbnails"},
}
"""Properties, None for all, of what a result has no more: a gain map, a video, a thumbnail."""
EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"/></x:xmpmeta>'
    '<?xpacket end="w"?>'
)


def updated(
    packet: Optional[bytes], width: int, height: int, software: Optional[str] = None
) -> Optional[bytes]:
    """Write the size in pixels and an upright orientation into a packet, where it tells them.

    Parameters
    ----------
    packet : bytes, optional
    width, height : int
    software : str, optional
        Is added to the history, of a new packet if there is none.

    Raises
    ------
    ValueError
        If the packet is damaged, or so large that it is not taken apart.
    """
    if packet is None and software is None:
        return None
    document = _parsed(EMPTY if packet is None else _text(packet))
    try:
        _correct(document.documentElement, width, height)
        if software:
            _record(document, software)
        return "".join(node.toxml() for node in document.childNodes).encode()
    except RecursionError as error:
        raise ValueError("its elements lie too deep in one another") from error


def _text(packet) -> str:
    if len(packet) > MAX_BYTES:
        raise ValueError(f"it has {len(packet):,} bytes; {MAX_BYTES:,} are read")
    return packet.decode("utf-8").strip("\0")


def _parsed(text):
    if "<!DOCTYPE" in text:  # entities can grow without end
        raise ValueError("it declares a document type")
    try:
        return minidom.parseString(text.encode())
    except ExpatError as error:
        raise ValueError(f"it is no XML: {error}") from error


def _correct(root, width, height):
    values = {
        (TIFF, "Orientation"): 1,
        (TIFF, "ImageWidth"): width,
        (TIFF, "ImageLength"): height,
        (EXIF, "PixelXDimension"): width,
        (EXIF, "PixelYDimension"): height,
    }
    for element in [root, *root.getElementsByTagName("*")]:
        for attribute in list((element.attributes or {}).values()):
            key = attribute.namespaceURI, attribute.localName
            if _is_outdated(*key):
                element.removeAttributeNode(attribute)
            elif key in values:
                attribute.value = str(values[key])
        key = element.namespaceURI, element.localName
        if _is_outdated(*key) and element.parentNode is not None and element is not root:
            element.parentNode.removeChild(element)
        elif key in values and isinstance(element.firstChild, minidom.Text):
            element.firstChild.data = str(values[key])


def _is_outdated(namespace, name) -> bool:
    return namespace in OUTDATED and (OUTDATED[namespace] is None or name in OUTDATED[namespace])


def _record(document, software):
    """Add an event to the history."""
    for history in document.getElementsByTagNameNS(HISTORY, "History"):
        sequences = history.getElementsByTagNameNS(RDF, "Seq")
        break
    else:
        history, sequences = (
            _add(document, _add_description(document), "xmpMM:History", HISTORY),
            [],
        )
    sequence = sequences[0] if sequences else _add(document, history, "rdf:Seq", RDF)
    event = _add(document, sequence, "rdf:li", RDF)
    event.setAttributeNS(XMLNS, "xmlns:stEvt", EVENT)
    for name, value in (("action", "edited"), ("softwareAgent", software)):
        event.setAttributeNS(EVENT, f"stEvt:{name}", value)


def _add_description(document):
    roots = document.getElementsByTagNameNS(RDF, "RDF")
    if not roots:
        raise ValueError("it holds no RDF")
    others = roots[0].getElementsByTagNameNS(RDF, "Description")
    description = _add(document, roots[0], "rdf:Description", RDF)
    about = others[0].getAttributeNS(RDF, "about") if others else ""
    description.setAttributeNS(RDF, "rdf:about", about)  # the same in all
    return description


def _add(document, parent, name, namespace):
    """Append an element that declares its namespace, whatever others call it."""
    element = document.createElementNS(namespace, name)
    element.setAttributeNS(XMLNS, f"xmlns:{name.partition(':')[0]}", namespace)
    return parent.appendChild(element)
