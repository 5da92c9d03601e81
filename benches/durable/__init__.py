"""What durable runs cost: a turn beside a raw ``INSERT``, and beside other libraries.

    flows           the graphs: a chain, and one beside many activations that are pending
    rounds          what is compared, and how it is measured in turn
    places          stores, and the raw statements beside them
    comparisons     what is compared with what, and how much it may cost
    turns           the table: ``make bench-durable``
    drivers         a commit by each driver, and what the stores' own commits add

``peers`` stands by itself: durable steps of cnstra beside those of other libraries, in an environment of their own.
"""
