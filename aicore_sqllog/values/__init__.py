"""Any value into what can be stored, within bounds: text, ids, numbers, JSON. Knows no record and no SQL."""
