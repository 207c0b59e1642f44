"""A seed makes a shift of random stations; an auditor that shares no code with `mes` checks the numbered laws."""
