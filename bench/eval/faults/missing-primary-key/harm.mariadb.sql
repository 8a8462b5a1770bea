SELECT COUNT(*), SUM(value) FROM readings;
