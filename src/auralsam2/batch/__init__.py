"""Many videos in one run: manifest, worker processes and journal."""
