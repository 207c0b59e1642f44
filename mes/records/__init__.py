"""Records: what is read across capabilities: a unit's history, the line as it is now, the MES's own health."""
