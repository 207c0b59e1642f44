"""Products: parts, and the frozen revisions of what is made from them: bill of material, route, limits, recipes.

Owns `part`, `receiving_column`, `product_revision`, `bom_item`, `recipe`, `step` and `characteristic`. A revision
never changes once released; a change makes the next one, and what was built to the older stays as it was. Part: a part
number. Step: one operation of a route. Characteristic: what a step measures. Recipe: the parameters a station works
with.
"""
