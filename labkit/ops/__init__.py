"""Pure functions on tensors, the subject of notebooks 01 to 04.

boxes        IoU, deltas, clipping
anchors      the grid of boxes that detection starts from
matching     which box learns which object, and which boxes are sampled
nms          non-maximum suppression
roi          RoIAlign, RoIPool, crop_and_resize
roi_pyramid  the same on a feature pyramid, and the level of a RoI
roi_exact    the integral that they approximate
losses       the five losses
masks        mini-masks, pasting, COCO's polygons
rle          COCO's run lengths
"""
