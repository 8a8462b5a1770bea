"""The drivers' errors as ours."""

import psycopg
import pytest

from aishell.databases.postgresql import map_error

AT = 'connection to server at "127.0.0.1", port 5432 failed: '


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            f'{AT}FATAL:  password authentication failed for user "a"\n',
            f'{AT}FATAL: password authentication failed for user "a"',
        ),
        (f"{AT}Connection refused\n\tIs the server running on that host?\n", f"{AT}Connection refused"),
    ],
)
def test_what_libpq_says_of_a_connection_is_one_line_without_its_blanks(said, told):
    assert map_error(psycopg.OperationalError(said), connecting=True).message == told
