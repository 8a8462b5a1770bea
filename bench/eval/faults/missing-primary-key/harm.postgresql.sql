SELECT count(*), sum(value) FROM readings;
