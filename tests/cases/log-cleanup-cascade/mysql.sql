CREATE TABLE audit (id bigint PRIMARY KEY, created_at datetime NOT NULL) STATS_AUTO_RECALC=0;
INSERT INTO audit SELECT seq, NOW() - INTERVAL seq DAY + INTERVAL 12 HOUR FROM seq_1_to_200;
CREATE TABLE detail (audit_id bigint NOT NULL, field int, FOREIGN KEY (audit_id) REFERENCES audit (id) ON DELETE CASCADE) STATS_AUTO_RECALC=0;
INSERT INTO detail SELECT id, seq FROM audit, seq_1_to_3;
CREATE TABLE parent_log (id bigint PRIMARY KEY, created_at datetime NOT NULL) STATS_AUTO_RECALC=0;
INSERT INTO parent_log SELECT * FROM audit;
CREATE TABLE child_log (id bigint PRIMARY KEY, created_at datetime NOT NULL, parent_id bigint, FOREIGN KEY (parent_id) REFERENCES parent_log (id)) STATS_AUTO_RECALC=0;
INSERT INTO child_log SELECT id, created_at, id FROM audit;
ANALYZE TABLE audit, detail, parent_log, child_log;
