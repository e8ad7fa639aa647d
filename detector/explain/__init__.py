"""From the evidence map to heatmap, regions and overlay; the other CAM methods."""
