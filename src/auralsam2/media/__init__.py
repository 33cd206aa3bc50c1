"""Media files: frames and audio with common times, and video writers."""
