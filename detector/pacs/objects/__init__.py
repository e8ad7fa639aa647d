"""A prediction as DICOM objects: SR, SC, SEG and GSPS."""

# Report, overlay, heatmap and presentation state, in the order in which they are made and sent.
KINDS = ("sr", "sc", "seg", "gsps")
