"""XMP packets: what enlarging makes wrong is corrected, and what was done is recorded.

References
----------
.. [1] Adobe, XMP specification part 1 (ISO 16684-1), section 7; part 2, sections 1.2.4 and 3.4.
"""

from __future__ import annotations

from typing import Optional
from xml.dom import minidom
from xml.parsers.expat import ExpatError, ParserCreate

MAX_BYTES = 1_000_000
"""A packet of more is not taken apart: that takes up to some hundred times its size."""
MAX_NAMESPACE = 256
"""Characters of a namespace, which the parser spells out for each element that is in it."""
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XMLNS = "http://www.w3.org/2000/xmlns/"
TIFF, EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
HISTORY, EVENT = (
    "http://ns.adobe.com/xap/1.0/mm/",
    "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
)
PANORAMA = "http://ns.google.com/photos/1.0/panorama/"
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
        _correct(document, width, height)
        if software:
            _record(document, software)
        return "".join(node.toxml() for node in document.childNodes).encode()
    except RecursionError as error:
        raise ValueError("its elements lie too deep in one another") from error


def _text(packet) -> str:
    """Refuse a packet of over `MAX_BYTES`; else return its text."""
    if len(packet) > MAX_BYTES:
        raise ValueError(f"it has {len(packet):,} bytes; {MAX_BYTES:,} are read")
    return packet.decode("utf-8").strip("\0")


def _parsed(text):
    """Refuse a document type, whose entities can grow without end, and what is no XML."""
    if "<!DOCTYPE" in text:
        raise ValueError("it declares a document type")
    try:
        plain = ParserCreate()  # it takes namespaces for attributes
        plain.StartElementHandler = _check_namespaces
        plain.Parse(text.encode(), True)
        return minidom.parseString(text.encode())
    except ExpatError as error:
        raise ValueError(f"it is no XML: {error}") from error


def _check_namespaces(_, attributes):
    """Refuse an element that declares a namespace of over `MAX_NAMESPACE`."""
    for name, value in attributes.items():
        if name.startswith("xmlns") and len(value) > MAX_NAMESPACE:
            raise ValueError(f"it has a namespace of {len(value):,} characters")


def _correct(root, width, height):
    sizes = {
        (TIFF, "Orientation"): 1,
        (TIFF, "ImageWidth"): width,
        (TIFF, "ImageLength"): height,
        (EXIF, "PixelXDimension"): width,
        (EXIF, "PixelYDimension"): height,
    }
    panorama = {}
    _drop_outdated(root)
    for node in _properties(root):
        key = node.namespaceURI, node.localName
        if key in sizes:
            _set(node, sizes[key])
        elif node.namespaceURI == PANORAMA and node.localName.endswith("Pixels"):
            panorama[node.localName] = node
    _enlarge(panorama, width)


def _properties(root):
    """Yield the attributes and elements of a tree: a property may be either."""
    for element in root.getElementsByTagName("*"):
        yield from element.attributes.values()
        yield element


def _enlarge(panorama, width):
    """Scale the sizes and positions of a panorama as the picture in it was scaled."""
    try:
        values = {name: float(_get(node)) for name, node in panorama.items()}
        factor = width / values["CroppedAreaImageWidthPixels"]
        scaled = {name: round(factor * value) for name, value in values.items()}
    except (KeyError, ValueError, ArithmeticError):  # it says nothing
        return
    for name, value in scaled.items():
        _set(panorama[name], value)


def _get(node) -> str:
    return node.value if isinstance(node, minidom.Attr) else getattr(node.firstChild, "data", "")


def _set(node, value):
    if isinstance(node, minidom.Attr):
        node.value = str(value)
    elif isinstance(node.firstChild, minidom.Text):
        node.firstChild.data = str(value)


def _drop_outdated(root):
    """Take out of each node what is outdated, in one pass: to look for each again is quadratic."""
    for parent in (root, *root.getElementsByTagName("*")):
        parent.childNodes[:] = [child for child in parent.childNodes if not _is_outdated(child)]
        for attribute in list((parent.attributes or {}).values()):
            if _is_outdated(attribute):
                parent.removeAttributeNode(attribute)


def _is_outdated(node) -> bool:
    names: Optional[set[str]] = OUTDATED.get(node.namespaceURI, set())
    return names is None or node.localName in names


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
