"""Work orders: what to make, how many, to which revisions; serial numbers are issued here.

Owns `work_order`, `order_revision` and `serial_counter`. Law 5: a unit is built to the revision its order was released
with. Law 8: an order counts exactly the units that were finished.
"""
