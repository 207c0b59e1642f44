"""The plant: sites, lines, stations, tools with their calibration, and how the gateways' links to stations are.

Owns `site`, `line`, `station`, `tool` and `station_link`. Every code is unique in the whole plant, so that a scan, a
PLC's mapping and a report need no more than the code. Station: a place where a cycle happens. Link: a gateway's
connection to a station.
"""
