"""Pure functions on tensors, the subject of notebooks 01 to 04.

boxes: IoU, deltas, clipping. anchors: the grid of boxes that detection starts from. matching: which
box learns which object, and what is sampled. nms: non-maximum suppression. roi: RoIAlign, RoIPool,
`crop_and_resize`, and the pyramid level of a RoI; roi_exact: the integral they approximate. masks:
mini-masks, pasting, polygons and run lengths. losses: the five losses.
"""
