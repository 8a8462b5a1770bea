"""The text of a dump: its position, its end, and what is changed in it for another place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.backups.mariadb.binlog.statements import Rewriter
from aishell.backups.mariadb.dump_text import HEAD_BYTES, DumpWatch, rewritten

HEAD = b"""/*M!999999\\- enable the sandbox mode */
-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)
-- CHANGE MASTER TO MASTER_LOG_FILE='binlog.000001', MASTER_LOG_POS=4688;
"""
DUMP = (
    HEAD
    + b"""
CREATE TABLE `t` (
  `id` int(11) NOT NULL DEFAULT nextval(`shop`.`numbers`),
  `c` text DEFAULT '\\n  `DEFAULT nextval(`shop`.`numbers`)'
) ENGINE=InnoDB;
INSERT INTO `t` VALUES
(1,'DEFAULT nextval(`shop`.`numbers`)'),
(2,'/*!50106 CREATE*/ /*!50117 DEFINER');
/*!50003 SET sql_mode              = 'ANSI_QUOTES,STRICT_ALL_TABLES' */ ;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`%`*/ /*!50003 trigger "shop".tr before insert on shop."t" for each row
  insert into shop.log values ("shop".x)
*/;;
DELIMITER ;
/*!50003 SET sql_mode              = '' */ ;
DELIMITER ;;
/*!50106 CREATE*/ /*!50117 DEFINER=`root`@`%`*/ /*!50106 EVENT `new
line` ON SCHEDULE EVERY 1 DAY ON COMPLETION NOT PRESERVE ENABLE COMMENT 'ENABLE' DO delete from shop.t */ ;;
DELIMITER ;
-- Dump completed
"""
)
EXPECTED = (
    DUMP.replace(b"  `id` int(11) NOT NULL DEFAULT nextval(`shop`.", b"  `id` int(11) NOT NULL DEFAULT nextval(`copy`.")
    .replace(b'trigger "shop".tr before insert on shop."t"', b'trigger `copy`.tr before insert on `copy`."t"')
    .replace(b"PRESERVE ENABLE COMMENT", b"PRESERVE  DISABLE  COMMENT")
)


VIEWS = b"""--
-- Final view structure for view `a``b`
--

/*!50001 DROP VIEW IF EXISTS `a``b`*/;
/*!50001 SET collation_connection      = utf8mb4_general_ci */;
/*!50001 CREATE ALGORITHM=UNDEFINED */
/*!50013 DEFINER=`o``o`@`%` SQL SECURITY DEFINER */
/*!50001 VIEW `a``b` AS select 'SQL SECURITY DEFINER' AS `SQL SECURITY DEFINER` */;
/*!50001 CREATE ALGORITHM=MERGE */
/*!50013 DEFINER=`SQL SECURITY DEFINER`@`%` SQL SECURITY INVOKER */
/*!50001 VIEW `new
line` AS select 1 */;
/*!50001 CREATE ALGORITHM=UNDEFINED DEFINER=`role` SQL SECURITY DEFINER VIEW `of_role` AS select 1 */;
-- Dump completed
"""
MADE = VIEWS.replace(b"`@`%` SQL SECURITY DEFINER */", b"`@`%` SQL SECURITY INVOKER */").replace(
    b"=`role` SQL SECURITY DEFINER", b"=`role` SQL SECURITY INVOKER"
)


def cut(text: bytes, size: int) -> list[bytes]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 7, 64, 1000, 1 << 20])
def test_triggers_events_and_defaults_are_turned_and_rows_are_not(size: int) -> None:
    assert b"".join(rewritten(cut(DUMP, size), Rewriter("shop", "copy"))) == EXPECTED


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_views_are_made_without_their_definers_rights_and_it_is_known_which_had_none(size: int) -> None:
    rewriter = Rewriter("shop", "copy")
    assert b"".join(rewritten(cut(VIEWS, size), rewriter)) == MADE
    assert rewriter.rights.views == {"new\nline"}


@given(st.binary(max_size=300), st.integers(1, 50))
def test_what_has_none_of_these_passes_as_it_is(data: bytes, size: int) -> None:
    assert b"".join(rewritten(cut(data, size), Rewriter("shop", "copy"))) == data


def watch(text: bytes, size: int = 10) -> DumpWatch:
    made = DumpWatch()
    for block in cut(text, size):
        made.see(block)
    return made


@pytest.mark.parametrize("size", [1, 10, 1 << 20])
def test_the_position_stands_at_the_head(size: int) -> None:
    assert watch(DUMP, size).position == ("binlog.000001", 4688)
    source = HEAD.replace(b"MASTER_LOG", b"SOURCE_LOG").replace(b"CHANGE MASTER", b"CHANGE REPLICATION SOURCE")
    assert watch(source, size).position == ("binlog.000001", 4688)
    assert watch(b"-- nothing\n", size).position is None


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        (DUMP, True),
        (DUMP.rstrip(), True),
        (DUMP[:-5], False),
        (b"", False),
        (DUMP + b"more\n", False),
        (b"-- Dump completed on 2026-11-21  3:15:00\n", True),
    ],
)
def test_its_last_line_says_that_it_is_whole(text: bytes, complete: bool) -> None:
    assert watch(text).complete is complete


def test_it_is_told_once_that_the_snapshot_is_taken() -> None:
    made, told = DumpWatch(), []
    for block in cut(DUMP, 10):
        told.append(made.see(block))
    assert told.count(True) == 1
    assert not any(told[: len(HEAD) // 10])
    long = DumpWatch()
    assert [long.see(b"-" * (HEAD_BYTES // 2)) for _ in range(3)] == [False, True, False]
