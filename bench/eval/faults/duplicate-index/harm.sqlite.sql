SELECT name FROM pragma_index_list('orders') ORDER BY name;
