"""What makes the books provable: how rows are hashed, sealed, exported and checked.

Pure: no database, no network. The writer and whoever checks it share this one spelling.

`forms` hashes rows, `merkle` and `checkpoint` seal them, `export` is the file that holds them all,
`verify` recomputes it, `statement` is one account's part of it with its proof.
"""
