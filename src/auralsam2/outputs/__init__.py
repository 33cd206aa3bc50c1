"""Writers of results: `result_folder.ResultFolder`, COCO, DAVIS, overlays and run lengths."""
