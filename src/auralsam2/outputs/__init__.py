"""The room `outputs`: turns a stream of `Segmentation`s into files.

`folder.ResultFolder` is the sink, `overlay.draw` paints one frame, `rle` is the text form of a mask.
"""
