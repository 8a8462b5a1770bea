SELECT n_rows BETWEEN 4000 AND 6000 FROM mysql.innodb_table_stats WHERE database_name = '{database}' AND table_name = 'orders';
