-- Blocks of every tool whose programs log in: how aishell's own connections log in, so that the programs do the same.

-- encryption: the cipher of this connection, empty without TLS
SHOW SESSION STATUS LIKE 'Ssl_cipher'

-- account: the account that the server has authenticated
SELECT CURRENT_USER() AS name
