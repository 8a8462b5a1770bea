SELECT count(*), sum(hashtext(a::text)) FROM app_log AS a WHERE id > 8000;
