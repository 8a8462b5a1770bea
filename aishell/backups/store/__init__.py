"""The backup store: the folder, its catalog, second copies and retention."""
