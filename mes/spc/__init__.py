"""Statistical process control: what a characteristic's plan asks to be charted, judged as results come in.

Owns `chart` (what a station's characteristic is compared with) and the ledger `signal` (what broke a rule). A chart's
limits are those of its first subgroups, and stay until somebody restarts it with a reason: limits that follow the
process would hide its drift. The numbers are pure: `charts` (limits), `signals` (rules), `capability`, `gauge`.
"""
