"""Faces in moving pictures: cameras and video files in, a steady overlay, a video file and a table out."""
