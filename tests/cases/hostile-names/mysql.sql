CREATE TABLE `we"ird``x %s :y; -- 50% \` (id int PRIMARY KEY, `we"ird``x %s :y; -- 50% \` varchar(64), note varchar(200), KEY `we"ird``x %s :y; -- 50% \ i` (`we"ird``x %s :y; -- 50% \`)) STATS_AUTO_RECALC=0;
INSERT INTO `we"ird``x %s :y; -- 50% \` SELECT seq, md5(seq), repeat('x', 100) FROM seq_1_to_10000;
DELETE FROM `we"ird``x %s :y; -- 50% \` WHERE id % 20 <> 10;
SET GLOBAL innodb_max_purge_lag_wait = 0;
ANALYZE TABLE `we"ird``x %s :y; -- 50% \`;
CREATE TABLE `MiXed.Case` (id int PRIMARY KEY, `MiXed.Case` varchar(64), note varchar(200), KEY `MiXed.Case i` (`MiXed.Case`)) STATS_AUTO_RECALC=0;
INSERT INTO `MiXed.Case` SELECT seq, md5(seq), repeat('x', 100) FROM seq_1_to_10000;
DELETE FROM `MiXed.Case` WHERE id % 20 <> 10;
SET GLOBAL innodb_max_purge_lag_wait = 0;
ANALYZE TABLE `MiXed.Case`;
CREATE TABLE `new
line` (id int PRIMARY KEY, `new
line` varchar(64), note varchar(200), KEY `new
line i` (`new
line`)) STATS_AUTO_RECALC=0;
INSERT INTO `new
line` SELECT seq, md5(seq), repeat('x', 100) FROM seq_1_to_10000;
DELETE FROM `new
line` WHERE id % 20 <> 10;
SET GLOBAL innodb_max_purge_lag_wait = 0;
ANALYZE TABLE `new
line`;
CREATE TABLE `select` (id int PRIMARY KEY, `select` varchar(64)) STATS_AUTO_RECALC=0;
INSERT INTO `select` SELECT seq, md5(seq) FROM seq_1_to_500;
CREATE TABLE `quote'single` (id int PRIMARY KEY, `quote'single` varchar(64)) STATS_AUTO_RECALC=0;
INSERT INTO `quote'single` SELECT seq, md5(seq) FROM seq_1_to_500;
CREATE TABLE `[red]x[/red] [31m` (id int PRIMARY KEY, `[red]x[/red] [31m` varchar(64)) STATS_AUTO_RECALC=0;
INSERT INTO `[red]x[/red] [31m` SELECT seq, md5(seq) FROM seq_1_to_500;
CREATE TABLE `emoji 象` (id int PRIMARY KEY, `emoji 象` varchar(64)) STATS_AUTO_RECALC=0;
INSERT INTO `emoji 象` SELECT seq, md5(seq) FROM seq_1_to_500;
