"""The networks: their settings, their parts, and what they return.

config: every number of a model. layers, backbones, fpn, rpn, heads: the parts. mask_rcnn: the parts
wired together. inference: from pictures of any size to batches and back. detections: what a model
found. trace: everything it computed on the way.
"""
