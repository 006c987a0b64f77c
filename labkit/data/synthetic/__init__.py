"""Synthetic data sets, drawn from a seed: the same on every machine, and no download.

shapes       rectangles, ellipses, triangles and stars on a busy background
digits       scikit-learn's handwritten digits on the same backgrounds
collage      objects cut out of photographs, pasted on others
photographs  what collage is made of: the photographs, and outlines drawn by hand
scenes       which figure may stand where, and what is visible of it
painting     random numbers, colours, filled figures, backgrounds, in whole-number arithmetic
"""
