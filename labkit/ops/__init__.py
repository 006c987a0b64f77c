"""Pure functions on tensors, the subject of notebooks 01 to 04.

boxes        IoU, deltas, clipping
anchors      the grid of boxes that detection starts from
matching     which box learns which object, and which boxes are sampled
nms          non-maximum suppression
roi          RoIAlign, RoIPool, crop_and_resize
roi_pyramid  the same on a feature pyramid, and the level of a RoI
roi_exact    the integral that they approximate
losses       the five losses
mask_boxes   masks and their tight boxes
mini_masks   masks cut out by their boxes, as training keeps them
pasting      predicted grids back in the image
coco_masks   masks as COCO writes them
rle          the texts of COCO's run lengths
"""
