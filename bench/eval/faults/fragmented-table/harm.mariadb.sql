SELECT COUNT(*), SUM(id), SUM(CRC32(n)) FROM orders;
