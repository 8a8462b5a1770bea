SELECT count(*) = 0 FROM pragma_integrity_check WHERE integrity_check <> 'ok';
