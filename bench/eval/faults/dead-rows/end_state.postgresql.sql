SELECT dead_tuple_count = 0 FROM pgstattuple('orders');
