"""Durable steps of cnstra beside those of other libraries, in their own environment: ``make bench-durable-peers``.

contender       what is known of one, and what it is given
on_cnstra, on_langgraph, on_dbos    who takes part
page            the page in ``docs``
compare         measures them in turn, and writes the page
"""
