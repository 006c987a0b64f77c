"""Files: images are read, downloads fetched and unpacked, and nothing is written by halves."""
