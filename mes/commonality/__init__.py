"""What suspect units share, against comparable good ones: where to look for a cause, and how far it reaches."""
