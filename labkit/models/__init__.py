"""The networks: their settings, their parts, and what they return.

detector_config, config: the settings of any detector, and those of a Mask R-CNN with its presets.
registry: the detectors by name. detector: what every detector is. backbones, layers, fpn, rpn,
heads: the parts. mask_rcnn: the parts wired together; mask_rcnn_health: whether it learns. resize,
inclusive: sizes and coordinates. inference: from images of any size to batches and back.
detections: what a model found. trace: everything it computed on the way.
"""
