SELECT doc_date, module, object, text
FROM docstrings
