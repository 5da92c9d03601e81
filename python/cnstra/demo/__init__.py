"""The orders of a music shop, as a small CQRS application on cnstra; ``cnstra demo orders`` runs it.

Read it in this order:

    model          the messages: commands, events, queries and their answers; nothing but data
    orders         the graph: who reacts to what, and what each neuron may emit
    write_store    the source of truth, a SQLite file that only the command side writes
    read_store     the read models, another SQLite file, written by the projections and read by queries
    stores         the two side by side: one commit for a batch, the order of the two commits, catching up
    source         the rows of a CSV file as batches of commands, and where to go on after a stop
    job            the run: catch up, then place one batch after the other
    figures        money and counts as people write them
    report         what a person sees of it in a terminal; the only module here that needs ``rich``

And the same as durable runs, ``cnstra demo orders --durable``, which needs the extra ``cnstra[durable]``:

    durable_orders    the graph: every handler is a transaction in the database of the runs
    ledger            the tables in it, what is written to them, and their sums
    durable_job       the run: continue what an earlier process has left, then a run for each batch
"""
