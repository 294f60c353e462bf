"""Several cores behind one link: the line that their devices share, and all of them as a list."""
