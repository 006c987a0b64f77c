"""Readers: one module a format of annotated pictures.

formats       which format is in a folder, and which reader reads it
base          what all readers have in common: `PictureDataset`
coco          COCO: one json of polygons and run lengths
panoptic      COCO panoptic: a json, and a PNG a picture whose colours are segments
outlines      what VIA and LabelMe have in common: polygons, rectangles, ellipses
via           VGG Image Annotator: one json
labelme       LabelMe: a json a picture
label_studio  Label Studio: one json of tasks; `brush` decodes its painted masks
cvat          CVAT for images: one xml
yolo          YOLO's segmentation: a txt a picture, and a data.yaml
label_maps    a PNG or TIFF a picture, every value an instance
map_doubts    label maps that may mean something else, and their connected parts
voc           Pascal VOC: two label maps a picture, of objects and of classes
voc_boxes     Pascal VOC's boxes: an xml a picture
cityscapes    Cityscapes: polygons or label maps
mask_folders  a file a mask, as in the 2018 Data Science Bowl
other_formats  what is recognised and not read, and the export to use instead
"""
