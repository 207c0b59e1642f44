"""The demo plant's stations: real OPC UA servers that play PLCs, with the plant's distributions and defects."""
