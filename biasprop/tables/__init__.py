"""Tables that people bring along (CSV or parquet), read column by column in bounded memory.

``source.open_table`` tells the format by the content of a file: ``delimited`` reads text, ``parquet`` reads parquet.
Both give chunks of cells as text, with the line or row that each is from, so everything behind them is one code.
``columns`` turns cells into numbers, categories, keys or texts, ``read.read_table`` does it for a whole file,
``labels`` reads a category as a binary label, and ``join`` finds rows of another table by a key.

A table is recognised or refused, never guessed at silently: every problem is an ``InputError`` that names file, line
(or row) and column. Text is split by Python's ``csv`` module in strict mode, because it gives line numbers and the
number of fields of each record, where pandas fills up short records and, when columns are selected, drops the rest of
long ones. Parquet needs pyarrow (``pip install 'biasprop[parquet]'``).

Rows are not held as text, but for columns whose text is needed, such as names of files. A row costs 4 bytes for its
line, 8 for a number or a key, and 4 for a category.
"""
