"""Names of COCO's numbers, and the object sizes and detection limits they are computed for."""

# COCO's size classes: name -> area in px². An object on a boundary belongs to both, as in COCOeval.
COCO_AREAS = {"s": (0.0, 32.0**2), "m": (32.0**2, 96.0**2), "l": (96.0**2, 1e10)}


def ap_name(iou: float) -> str:
    """The name of the AP at one IoU threshold: "AP50" at 0.5."""
    return f"AP{round(100 * float(iou), 6):g}"


def detection_limits(max_dets: int) -> tuple[int, ...]:
    """The detections per image and class at which recall is measured: 1, 10 and max_dets."""
    return (*(n for n in (1, 10) if n < max_dets), max_dets)
