"""Labels: what is printed on packs and crates, where, and how often.

Owns the tables `printer` and `print_job`. A job keeps the code's bytes and the printer's commands, so what was printed
can be read again. Jobs wait in the database until their printer has taken them: at least once, in order.
"""
