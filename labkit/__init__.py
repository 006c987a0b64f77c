"""Mask R-CNN for TensorFlow 2 and Keras 3: a tested package and the course that explains it."""
