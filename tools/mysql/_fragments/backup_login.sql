-- Blocks that every tool has whose programs log in: how aishell's own connections do, for them to do the same.

-- encryption: the cipher of this connection, empty without TLS
SHOW SESSION STATUS LIKE 'Ssl_cipher'

-- account: whom the server takes us for
SELECT CURRENT_USER() AS name
