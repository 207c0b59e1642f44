"""The demo plant as files: one line that builds GC48-105 and GC48-150 packs from imported LFP cells."""
