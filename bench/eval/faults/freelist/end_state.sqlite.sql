SELECT freelist_count = 0 FROM pragma_freelist_count;
