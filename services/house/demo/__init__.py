"""The main job before the reader's eyes, through the same doors that everybody uses."""
