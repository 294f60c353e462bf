"""The report of ``kaniwa report``: a document of plain values, and a page that shows it.

``document`` says how the document, a JSON object, is laid out.
"""
